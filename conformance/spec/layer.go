package spec

// Clauses of image-spec layer.md, and of manifest.md and config.md where they speak of layers.
var (
	// LayerTar: a layer is a tar archive of POSIX form.
	LayerTar = Clause{ID: "IS-T1", Level: Must, Spec: "image-spec", Section: "layer.md#distributable-format"}
	// LayerAttributes: times, ids, modes, xattrs and link targets are kept.
	LayerAttributes = Clause{ID: "IS-T2", Level: Must, Spec: "image-spec", Section: "layer.md#file-attributes"}
	// LayerHardlink: a hardlink names a file of the layer or of those below, else it may fail.
	LayerHardlink = Clause{ID: "IS-T3", Level: May, Spec: "image-spec", Section: "layer.md#hardlinks"}
	// LayerReplace: a directory over a directory replaces its attributes; anything else replaces the file.
	LayerReplace = Clause{ID: "IS-T4", Level: Must, Spec: "image-spec", Section: "layer.md#changeset-over-existing-files"}
	// LayerWhiteout: a whiteout hides what lower layers have, and is itself not shown.
	LayerWhiteout = Clause{ID: "IS-T5", Level: Must, Spec: "image-spec", Section: "layer.md#whiteouts"}
	// LayerOpaque: an opaque whiteout is accepted, and acts before its siblings wherever it stands.
	LayerOpaque = Clause{ID: "IS-T6", Level: Must, Spec: "image-spec", Section: "layer.md#opaque-whiteout"}
	// LayerRepresenting: what changed becomes entries and whiteouts; names of whiteouts stand for nothing else.
	LayerRepresenting = Clause{ID: "IS-T7", Level: Must, Spec: "image-spec", Section: "layer.md#representing-changes"}
	// LayerNonDistributable: such layers are still downloaded.
	LayerNonDistributable = Clause{ID: "IS-T8", Level: Should, Spec: "image-spec", Section: "layer.md#non-distributable-layers"}
	// LayerDiffID: a DiffID is the digest of the uncompressed tar.
	LayerDiffID = Clause{ID: "IS-C2", Level: Must, Spec: "image-spec", Section: "config.md#layer-diffid"}
	// LayerReproducible: layers are unpacked so that the same tar can be made again.
	LayerReproducible = Clause{ID: "IS-C5", Level: Should, Spec: "image-spec", Section: "config.md#properties"}
)
