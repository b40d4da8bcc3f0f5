package main

import "github.com/spf13/pflag"

// sideFlags are those of a verb that may talk to two registries, for each of them alone.
type sideFlags struct {
	srcCreds, destCreds       string
	srcNoVerify, destNoVerify negated
}

func (s *sideFlags) register(f *pflag.FlagSet) {
	f.StringVar(&s.srcCreds, "src-creds", "", "`user:password` for the registry of the source alone")
	f.StringVar(&s.destCreds, "dest-creds", "", "`user:password` for the registry of the destination alone")
	f.Var(&s.srcNoVerify, "src-tls-verify", "as --tls-verify, for the source alone")
	f.Var(&s.destNoVerify, "dest-tls-verify", "as --tls-verify, for the destination alone")
	f.Lookup("src-tls-verify").NoOptDefVal = "true"
	f.Lookup("dest-tls-verify").NoOptDefVal = "true"
}

// apply says in t what is meant for which registry. A credential that is given for one registry must not
// go to another: --creds is refused where there are two.
func (s *sideFlags) apply(t *transferFlags, from, to place) error {
	src := hostAccess{creds: s.srcCreds, insecure: bool(s.srcNoVerify)}
	dest := hostAccess{creds: s.destCreds, insecure: bool(s.destNoVerify)}
	if from.inRegistry() {
		src.registry = from.ref.Registry
	}
	if to.inRegistry() {
		dest.registry = to.ref.Registry
	}
	given := t.credential() != ""
	switch {
	case src.registry == "" && src != hostAccess{}:
		return usageErrorf(nil, "--src-creds and --src-tls-verify: %s is in no registry", from)
	case dest.registry == "" && dest != hostAccess{}:
		return usageErrorf(nil, "--dest-creds and --dest-tls-verify: %s is in no registry", to)
	case given && (src.creds != "" || dest.creds != ""):
		return usageErrorf(nil, "--creds is for both sides: give --src-creds and --dest-creds alone")
	case given && src.registry != "" && dest.registry != "" && src.registry != dest.registry:
		return usageErrorf(nil, "the credential would go to %s and to %s: give --src-creds and --dest-creds", src.registry, dest.registry)
	case len(t.headers) > 0 && src.registry != "" && dest.registry != "" && src.registry != dest.registry:
		return usageErrorf(nil, "--header would go to %s and to %s: pull, then push", src.registry, dest.registry)
	case src.registry == dest.registry && src.creds != "" && dest.creds != "" && src.creds != dest.creds:
		return usageErrorf(nil, "--src-creds and --dest-creds are both for %s and differ", src.registry)
	}
	for _, h := range []hostAccess{src, dest} {
		if h.registry != "" && (h.creds != "" || h.insecure) {
			t.hosts = append(t.hosts, h)
		}
	}
	return nil
}
