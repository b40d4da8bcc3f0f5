package spec

// The duties of a client of the distribution API, by their DC- identifiers.
var (
	ContentTypeMatches = Clause{ID: "DC-05", Level: Should, Spec: "distribution-spec", Section: "spec.md#pulling-manifests"}
	DigestHeader       = Clause{ID: "DC-06", Level: Must, Spec: "distribution-spec", Section: "spec.md#pulling-manifests"}
	ManifestDigest     = Clause{ID: "DC-07", Level: Should, Spec: "distribution-spec", Section: "spec.md#pulling-manifests"}
	BlobDigest         = Clause{ID: "DC-08", Level: Must, Spec: "distribution-spec", Section: "spec.md#pulling-blobs"}
	BlobRange          = Clause{ID: "DC-10", Level: Should, Spec: "distribution-spec", Section: "spec.md#pulling-blobs"}
	PushLocation       = Clause{ID: "DC-20", Level: Should, Spec: "distribution-spec", Section: "spec.md#post-then-put"}
	PushMonolithic     = Clause{ID: "DC-21", Level: Must, Spec: "distribution-spec", Section: "spec.md#single-post"}
	PushChunked        = Clause{ID: "DC-22", Level: Must, Spec: "distribution-spec", Section: "spec.md#pushing-a-blob-in-chunks"}
	PushContentRange   = Clause{ID: "DC-24", Level: Must, Spec: "distribution-spec", Section: "spec.md#pushing-a-blob-in-chunks"}
	PushResume         = Clause{ID: "DC-28", Level: Should, Spec: "distribution-spec", Section: "spec.md#pushing-a-blob-in-chunks"}
	PushMount          = Clause{ID: "DC-30", Level: May, Spec: "distribution-spec", Section: "spec.md#mounting-a-blob-from-another-repository"}
	PushManifestBytes  = Clause{ID: "DC-32", Level: Must, Spec: "distribution-spec", Section: "spec.md#pushing-manifests"}
	PushSubject        = Clause{ID: "DC-40", Level: Must, Spec: "distribution-spec", Section: "spec.md#pushing-manifests-with-subject"}
	APISupport         = Clause{ID: "DC-58", Level: Must, Spec: "distribution-spec", Section: "spec.md#determining-support"}
	Deleting           = Clause{ID: "DC-51", Level: Should, Spec: "distribution-spec", Section: "spec.md#content-management"}
	TagPagination      = Clause{ID: "DC-50", Level: Must, Spec: "distribution-spec", Section: "spec.md#listing-tags"}
)

// The rules of the token protocol that registries use beside the distribution specification.
var (
	TokenChallenge = Clause{Level: Must, Spec: "docker-token", Section: "spec/auth/token.md#requesting-a-token"}
	TokenRealm     = Clause{ID: "H-78", Level: Must, Spec: "docker-token", Section: "spec/auth/token.md#how-to-authenticate"}
)
