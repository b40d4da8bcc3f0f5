package spec

// Clauses of image-spec layer.md and of the parts of config.md that name a layer.
var (
	LayerTar              = Clause{"IS-T1", Must, "image-spec", "layer.md#distributable-format"}
	LayerAttributes       = Clause{"IS-T2", Must, "image-spec", "layer.md#file-attributes"}
	LayerHardlink         = Clause{"IS-T3", May, "image-spec", "layer.md#hardlinks"}
	LayerReplace          = Clause{"IS-T4", Must, "image-spec", "layer.md#changeset-over-existing-files"}
	LayerWhiteout         = Clause{"IS-T5", Must, "image-spec", "layer.md#whiteouts"}
	LayerOpaque           = Clause{"IS-T6", Must, "image-spec", "layer.md#opaque-whiteout"}
	LayerNonDistributable = Clause{"IS-T8", Should, "image-spec", "layer.md#non-distributable-layers"}
	LayerOrder            = Clause{"IS-M5", Must, "image-spec", "manifest.md#image-manifest-property-descriptions"}
	LayerMediaType        = Clause{"IS-M4", Must, "image-spec", "manifest.md#image-manifest-property-descriptions"}
	LayerDiffID           = Clause{"IS-C2", Must, "image-spec", "config.md#layer-diffid"}
	LayerReproducible     = Clause{"IS-C5", Should, "image-spec", "config.md#properties"}
)
