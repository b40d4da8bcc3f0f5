package spec

// The duties of image-spec descriptor.md.
var (
	DescriptorMediaType = Clause{"IS-D1", Must, "image-spec", "descriptor.md#properties"}
	DescriptorDigest    = Clause{"IS-D2", Must, "image-spec", "descriptor.md#digests"}
	DescriptorSize      = Clause{"IS-D3", Must, "image-spec", "descriptor.md#properties"}
	DescriptorVerify    = Clause{"IS-D4", Should, "image-spec", "descriptor.md#verification"}
	DescriptorAlgorithm = Clause{"IS-D5", Must, "image-spec", "descriptor.md#registered-algorithms"}
	DescriptorData      = Clause{"IS-D6", Must, "image-spec", "descriptor.md#embedded-content"}
	DescriptorArtifact  = Clause{"IS-D7", Must, "image-spec", "descriptor.md#properties"}
)

// The duties of image-spec manifest.md.
var (
	ManifestSchema = Clause{"IS-M1", Must, "image-spec", "manifest.md#image-manifest-property-descriptions"}
	ManifestOpaque = Clause{"IS-M3", Must, "image-spec", "manifest.md#image-manifest-property-descriptions"}
	ManifestLayers = Clause{"IS-M4", Must, "image-spec", "manifest.md#image-manifest-property-descriptions"}
)

// The duties of image-spec image-index.md.
var (
	IndexManifests = Clause{"IS-I1", Must, "image-spec", "image-index.md#image-index-property-descriptions"}
	IndexPlatform  = Clause{"IS-I2", Should, "image-spec", "image-index.md#image-index-property-descriptions"}
)

// The duties of image-spec image-layout.md.
var (
	LayoutFiles = Clause{"IS-L1", Must, "image-spec", "image-layout.md#content"}
	LayoutBlobs = Clause{"IS-L2", Must, "image-spec", "image-layout.md#blobs"}
	LayoutIndex = Clause{"IS-L4", Must, "image-spec", "image-layout.md#indexjson-file"}
)

// The duties of image-spec config.md.
var (
	ConfigRequired = Clause{"IS-C1", Must, "image-spec", "config.md#properties"}
	ConfigDiffID   = Clause{"IS-C2", Must, "image-spec", "config.md#layer-diffid"}
)

// The duties of the image-spec texts that hold for every document.
var (
	DocumentJSON      = Clause{"IS-X2", Should, "image-spec", "considerations.md#canonicalization"}
	MediaTypeConflict = Clause{"IS-X3", Must, "image-spec", "media-types.md#media-type-conflicts"}
	AnnotationRules   = Clause{"IS-A1", Must, "image-spec", "annotations.md#rules"}
)
