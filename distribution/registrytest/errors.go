package registrytest

import "errors"

// errRefused is what a token request ends with in the log of a TokenServer.
var errRefused = errors.New("refused")
