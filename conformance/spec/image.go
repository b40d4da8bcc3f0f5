package spec

// What the documents and layers of an image owe to image-spec 1.1 beyond what is refused when an image is pulled: package image/validate
// cites these. Where the text has no word of RFC 2119, the level is SHOULD for a value that is odd, and MAY for a thing to know.

// Descriptors, and the texts for all documents.
var (
	DescriptorURLs       = Clause{"IS-D8", Must, "image-spec", "descriptor.md#properties"}
	DescriptorURLScheme  = Clause{"IS-D9", Should, "image-spec", "descriptor.md#properties"}
	DescriptorSHA256     = Clause{"IS-D10", Should, "image-spec", "descriptor.md#registered-algorithms"}
	DescriptorPlatform   = Clause{"IS-D11", Should, "image-spec", "descriptor.md#properties"}
	DescriptorArtifactOf = Clause{"IS-D12", Should, "image-spec", "descriptor.md#properties"}
	DocumentSyntax       = Clause{"IS-X6", Must, "image-spec", "considerations.md#json"}
	DocumentCase         = Clause{"IS-X7", May, "image-spec", "considerations.md#extensibility"}
	DocumentAmbiguous    = Clause{"IS-X8", Should, "image-spec", "media-types.md#media-type-conflicts"}
	MediaTypeDocker      = Clause{"IS-X5", May, "image-spec", "media-types.md#compatibility-matrix"}
	AnnotationBase       = Clause{"IS-A2", Should, "image-spec", "annotations.md#pre-defined-annotation-keys"}
	AnnotationDomain     = Clause{"IS-A3", Should, "image-spec", "annotations.md#rules"}
	AnnotationPrefix     = Clause{"IS-A4", Must, "image-spec", "annotations.md#rules"}
	AnnotationCreated    = Clause{"IS-A5", Must, "image-spec", "annotations.md#pre-defined-annotation-keys"}
	AnnotationRefPlace   = Clause{"IS-A6", Should, "image-spec", "annotations.md#pre-defined-annotation-keys"}
	AnnotationURL        = Clause{"IS-A7", Should, "image-spec", "annotations.md#pre-defined-annotation-keys"}
	AnnotationLicenses   = Clause{"IS-A8", Should, "image-spec", "annotations.md#pre-defined-annotation-keys"}
	AnnotationRefName    = Clause{"IS-A9", Should, "image-spec", "annotations.md#pre-defined-annotation-keys"}
	AnnotationBaseDigest = Clause{"IS-A10", Must, "image-spec", "annotations.md#pre-defined-annotation-keys"}
	AnnotationLabels     = Clause{"IS-A11", May, "image-spec", "annotations.md#back-compatibility-with-label-schema"}
)

// Manifests.
var (
	ManifestEmptyConfig  = Clause{"IS-M2", Must, "image-spec", "manifest.md#guidelines-for-artifact-usage"}
	ManifestLayerOrder   = Clause{"IS-M5", Must, "image-spec", "manifest.md#image-manifest-property-descriptions"}
	ManifestEmpty        = Clause{"IS-M6", Must, "image-spec", "manifest.md#guidance-for-an-empty-descriptor"}
	ManifestNoSubject    = Clause{"IS-M7", May, "image-spec", "manifest.md#image-manifest-property-descriptions"}
	ManifestMediaType    = Clause{"IS-M8", Must, "image-spec", "manifest.md#image-manifest-property-descriptions"}
	ManifestMediaTypeUse = Clause{"IS-M9", Should, "image-spec", "manifest.md#image-manifest-property-descriptions"}
	ManifestArtifactType = Clause{"IS-M10", Must, "image-spec", "manifest.md#image-manifest-property-descriptions"}
	ManifestConfig       = Clause{"IS-M11", Must, "image-spec", "manifest.md#image-manifest-property-descriptions"}
	ManifestArtifact     = Clause{"IS-M12", Must, "image-spec", "manifest.md#guidelines-for-artifact-usage"}
	ManifestNoLayers     = Clause{"IS-M13", Should, "image-spec", "manifest.md#image-manifest-property-descriptions"}
	ManifestLayerType    = Clause{"IS-M14", Should, "image-spec", "manifest.md#image-manifest-property-descriptions"}
	ManifestSubject      = Clause{"IS-M15", Must, "image-spec", "manifest.md#image-manifest-property-descriptions"}
	ManifestEmptyLayer   = Clause{"IS-M16", Should, "image-spec", "manifest.md#guidelines-for-artifact-usage"}
)

// Indexes.
var (
	IndexSchema       = Clause{"IS-I4", Must, "image-spec", "image-index.md#image-index-property-descriptions"}
	IndexMediaType    = Clause{"IS-I5", Must, "image-spec", "image-index.md#image-index-property-descriptions"}
	IndexMediaTypeUse = Clause{"IS-I6", Should, "image-spec", "image-index.md#image-index-property-descriptions"}
	IndexArtifactType = Clause{"IS-I7", Must, "image-spec", "image-index.md#image-index-property-descriptions"}
	IndexPortable     = Clause{"IS-I8", Should, "image-spec", "image-index.md#image-index-property-descriptions"}
	PlatformRequired  = Clause{"IS-I9", Must, "image-spec", "image-index.md#image-index-property-descriptions"}
	PlatformName      = Clause{"IS-I10", Should, "image-spec", "image-index.md#image-index-property-descriptions"}
	PlatformFeature   = Clause{"IS-I11", Should, "image-spec", "image-index.md#image-index-property-descriptions"}
	PlatformVariant   = Clause{"IS-I12", Should, "image-spec", "image-index.md#platform-variants"}
	PlatformReserved  = Clause{"IS-I13", May, "image-spec", "image-index.md#image-index-property-descriptions"}
	PlatformTwice     = Clause{"IS-I14", May, "image-spec", "image-index.md#image-index-property-descriptions"}
	IndexSubject      = Clause{"IS-I15", Must, "image-spec", "image-index.md#image-index-property-descriptions"}
	PlatformConfig    = Clause{"IS-I16", Should, "image-spec", "image-index.md#image-index-property-descriptions"}
)

// Layouts.
var (
	LayoutExtra   = Clause{"IS-L3", May, "image-spec", "image-layout.md#blobs"}
	LayoutName    = Clause{"IS-L5", Must, "image-spec", "image-layout.md#blobs"}
	LayoutMissing = Clause{"IS-L6", Should, "image-spec", "image-layout.md#blobs"}
	LayoutVersion = Clause{"IS-L7", Must, "image-spec", "image-layout.md#oci-layout-file"}
	LayoutRefName = Clause{"IS-L8", May, "image-spec", "image-layout.md#indexjson-file"}
	LayoutRegular = Clause{"IS-L9", Should, "image-spec", "image-layout.md#content"}
)

// Configs.
var (
	ConfigUser       = Clause{"IS-C4", Must, "image-spec", "config.md#properties"}
	ConfigRootfsType = Clause{"IS-C7", Must, "image-spec", "config.md#properties"}
	ConfigDiffIDs    = Clause{"IS-C8", Must, "image-spec", "config.md#properties"}
	ConfigTime       = Clause{"IS-C9", Must, "image-spec", "config.md#properties"}
	ConfigPlatform   = Clause{"IS-C10", Should, "image-spec", "config.md#properties"}
	ConfigVariant    = Clause{"IS-C11", Should, "image-spec", "config.md#properties"}
	ConfigFeature    = Clause{"IS-C12", Should, "image-spec", "config.md#properties"}
	ConfigType       = Clause{"IS-C13", Must, "image-spec", "config.md#properties"}
	ConfigPort       = Clause{"IS-C14", Should, "image-spec", "config.md#properties"}
	ConfigEnv        = Clause{"IS-C15", Must, "image-spec", "config.md#properties"}
	ConfigVolume     = Clause{"IS-C16", Should, "image-spec", "config.md#properties"}
	ConfigWorkingDir = Clause{"IS-C17", Should, "image-spec", "config.md#properties"}
	ConfigStopSignal = Clause{"IS-C18", Should, "image-spec", "config.md#properties"}
	ConfigDeprecated = Clause{"IS-C19", May, "image-spec", "config.md#properties"}
	ConfigHistory    = Clause{"IS-C20", Should, "image-spec", "config.md#properties"}
)

// Layers.
var (
	LayerForeign       = Clause{"IS-T10", Should, "image-spec", "layer.md#non-distributable-layers"}
	LayerDuplicate     = Clause{"IS-T11", Must, "image-spec", "layer.md#distributable-format"}
	LayerGzip          = Clause{"IS-T12", Must, "image-spec", "layer.md#gzip-media-types"}
	LayerZstd          = Clause{"IS-T13", Must, "image-spec", "layer.md#zstd-media-types"}
	LayerRelative      = Clause{"IS-T14", Should, "image-spec", "layer.md#populate-initial-filesystem"}
	LayerDangling      = Clause{"IS-T15", Must, "image-spec", "layer.md#hardlinks"}
	LayerWhiteoutFile  = Clause{"IS-T16", Must, "image-spec", "layer.md#whiteouts"}
	LayerAUFS          = Clause{"IS-T17", Should, "image-spec", "layer.md#whiteouts"}
	LayerWhiteoutOrder = Clause{"IS-T18", Should, "image-spec", "layer.md#whiteouts"}
	LayerExplicit      = Clause{"IS-T19", Should, "image-spec", "layer.md#opaque-whiteout"}
	LayerSparse        = Clause{"IS-T20", Should, "image-spec", "layer.md#file-attributes"}
	LayerFileType      = Clause{"IS-T21", Should, "image-spec", "layer.md#file-types"}
	LayerHostXattr     = Clause{"IS-T22", Should, "image-spec", "layer.md#file-attributes"}
)
