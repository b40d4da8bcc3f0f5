package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/pelletier/go-toml/v2"

	"github.com/oci-pipeline/oci/distribution"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
)

// errSyncList: a list for `oci sync` that cannot be used.
var errSyncList = errors.New("invalid list")

// maxSyncList bounds a list: a hundred thousand repositories.
const maxSyncList = 16 << 20

// syncList is the file that `oci sync` reads: TOML, JSON or YAML.
type syncList struct {
	Image []syncEntry `toml:"image" json:"image"`

	hosts []hostAccess // of a list that has credentials and the like
}

// syncEntry is one repository to copy. Tags are those that are listed, and those that meet Regex and
// Semver, as far as given; all if none of the three is.
type syncEntry struct {
	From      string   `toml:"from" json:"from"` // repository, or oci:DIR
	To        string   `toml:"to" json:"to"`     // repository, or oci:DIR
	Tags      []string `toml:"tags" json:"tags"`
	Regex     string   `toml:"regex" json:"regex"`
	Semver    string   `toml:"semver" json:"semver"`
	Newest    int      `toml:"newest" json:"newest"`     // so many of the highest versions that Regex and Semver leave; 0 is all
	Platform  string   `toml:"platform" json:"platform"` // "" is the whole index
	Referrers bool     `toml:"referrers" json:"referrers"`

	from, to place
	regex    *regexp.Regexp
	semver   semverRange
	any      bool // what Regex or Semver meets, and not both
	every    bool // all tags, whatever else is asked for
}

// readSyncList reads and checks a list. A key that it does not know is an error: a typing mistake
// would copy, or with --prune delete, something else.
func readSyncList(name string, into syncInto) (syncList, error) {
	f, err := os.Open(name)
	if err != nil {
		return syncList{}, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxSyncList+1))
	if err != nil {
		return syncList{}, err
	}
	if len(raw) > maxSyncList {
		return syncList{}, fmt.Errorf("%s: %w: more than %d bytes", name, image.ErrTooLarge, maxSyncList)
	}
	var list syncList
	ext := path.Ext(name)
	if ext == ".yaml" || ext == ".yml" {
		list, err = decodeYAMLList(raw, into)
	} else if list, err = decodeSyncList(raw, ext == ".json"); err == nil && into.base != "" {
		err = usageErrorf(nil, "this list says itself where to: give no destination")
	}
	if err != nil {
		return list, fmt.Errorf("%s: %w", name, err)
	}
	return list, nil
}

func decodeSyncList(raw []byte, asJSON bool) (syncList, error) {
	var list syncList
	if asJSON {
		d := json.NewDecoder(strings.NewReader(string(raw)))
		d.DisallowUnknownFields()
		err := d.Decode(&list)
		if err == nil && d.More() {
			err = errors.New("there is something after the object")
		}
		if err != nil {
			return list, fmt.Errorf("%w: %s", errSyncList, strings.TrimPrefix(err.Error(), "json: "))
		}
		return list, list.check()
	}
	d := toml.NewDecoder(strings.NewReader(string(raw)))
	d.DisallowUnknownFields()
	err := d.Decode(&list)
	var unknown *toml.StrictMissingError
	var at *toml.DecodeError
	switch {
	case errors.As(err, &unknown) && len(unknown.Errors) > 0:
		line, _ := unknown.Errors[0].Position()
		return list, fmt.Errorf("line %d: %w: unknown key %q", line, errSyncList, strings.Join(unknown.Errors[0].Key(), "."))
	case errors.As(err, &at):
		line, _ := at.Position()
		return list, fmt.Errorf("line %d: %w: %s", line, errSyncList, strings.TrimPrefix(at.Error(), "toml: "))
	case err != nil:
		return list, fmt.Errorf("%w: %s", errSyncList, strings.TrimPrefix(err.Error(), "toml: "))
	}
	return list, list.check()
}

// check proves all of the list before anything is done.
func (l *syncList) check() error {
	if len(l.Image) == 0 {
		return fmt.Errorf("%w: it names no image", errSyncList)
	}
	seen := map[string]bool{}
	for i := range l.Image {
		e := &l.Image[i]
		if err := e.check(); err != nil {
			return fmt.Errorf("image %d: %w: %w", i+1, errSyncList, err)
		}
		to := e.to.String()
		if seen[to] { // --prune of one would delete what the other copies
			return fmt.Errorf("image %d: %w: another one goes to %s too; --scoped keeps whole names", i+1, errSyncList, e.To)
		}
		seen[to] = true
	}
	return nil
}

func (e *syncEntry) check() error {
	var err error
	if e.from, err = parseRepository(e.From); err != nil {
		return fmt.Errorf("from: %w", err)
	}
	if e.to, err = parseRepository(e.To); err != nil {
		return fmt.Errorf("to: %w", err)
	}
	if e.from == e.to {
		return fmt.Errorf("from and to are the same place: %s", e.To)
	}
	for _, tag := range e.Tags {
		if err := errors.Join(e.from.tagged(tag).check(), e.to.tagged(tag).check()); err != nil {
			return err
		}
	}
	if e.Newest < 0 {
		return errors.New("newest: it is negative")
	}
	if e.Regex != "" {
		if e.regex, err = regexp.Compile(e.Regex); err != nil {
			return fmt.Errorf("regex: %w", err)
		}
	}
	if e.Semver != "" {
		if e.semver, err = parseSemverRange(e.Semver); err != nil {
			return fmt.Errorf("semver: %w", err)
		}
	}
	if e.Platform != "" {
		if _, err = image.ParsePlatform(e.Platform); err != nil {
			return fmt.Errorf("platform: %w", err)
		}
	}
	return nil
}

// parseRepository reads a place without a tag: a repository, or the directory of a layout.
func parseRepository(text string) (place, error) {
	ref, err := reference.Parse(text)
	if err != nil {
		return place{}, err
	}
	last := text[strings.LastIndexByte(text, '/')+1:]
	switch {
	case ref.Transport == reference.Registry && !strings.ContainsAny(last, ":@"):
		ref.Tag = ""
	case ref.Transport == reference.OCI && ref.Tag == "" && ref.Digest == "":
	default:
		return place{}, fmt.Errorf("%w: %q is neither a repository nor oci:DIR, without a tag", reference.ErrSyntax, text)
	}
	return place{ref: ref}, nil
}

// tagged is the place with a tag, or with a digest, which lists may have in place of one.
func (p place) tagged(tag string) place {
	if d := digest.Digest(tag); d.Validate() == nil {
		p.ref.Digest = d
		return p
	}
	p.ref.Tag = tag
	return p
}

// check proves a place that was put together.
func (p place) check() error {
	ref, err := reference.Parse(p.ref.String())
	if err == nil && ref != p.ref {
		err = fmt.Errorf("%w: tag %q", reference.ErrSyntax, p.ref.Tag)
	}
	return err
}

// choose gives what of the tags of the source is to be copied, sorted; the tags that stand in for
// the referrers API are none. A listed tag is chosen though the source does not list it.
func (e *syncEntry) choose(tags []string) []string {
	var found []string
	if e.lists() {
		for _, t := range tags {
			if !referrersTag(t) && e.wants(t) {
				found = append(found, t)
			}
		}
	}
	if e.Newest > 0 {
		sortVersions(found)
		found = found[:min(e.Newest, len(found))]
	}
	chosen := append(slices.Clone(e.Tags), found...)
	slices.Sort(chosen)
	return slices.Compact(chosen)
}

// lists tells whether the tags of the source have to be known.
func (e *syncEntry) lists() bool {
	return e.every || e.regex != nil || e.semver != nil || len(e.Tags) == 0
}

// wants tells whether a tag that the source lists is chosen by Regex and Semver.
func (e *syncEntry) wants(tag string) bool {
	v, ok := parseSemver(tag)
	byRegex := e.regex != nil && e.regex.MatchString(tag)
	bySemver := e.semver != nil && ok && e.semver.match(v)
	if e.any {
		return e.every || byRegex || bySemver
	}
	return (e.regex == nil || byRegex) && (e.semver == nil || bySemver)
}

// another gives the second registry that a list names; "" if there is one at most.
func (l *syncList) another() string {
	first := ""
	for _, e := range l.Image {
		for _, p := range []place{e.from, e.to} {
			switch {
			case !p.inRegistry() || p.ref.Registry == first:
			case first == "":
				first = p.ref.Registry
			default:
				return p.ref.Registry
			}
		}
	}
	return ""
}

// chosenDigests gives what is chosen by digest.
func chosenDigests(chosen []string) []digest.Digest {
	var list []digest.Digest
	for _, c := range chosen {
		if d := digest.Digest(c); d.Validate() == nil {
			list = append(list, d)
		}
	}
	return list
}

// ofAnotherManifest tells whether a tag belongs to another manifest of its repository: it stands in for the
// referrers API, or it is one of cosign's, as sha256-HEX.sig.
func ofAnotherManifest(tag string) bool {
	tag, _, _ = strings.Cut(tag, ".")
	return referrersTag(tag)
}

// referrersTag tells whether a tag is one that stands in for the referrers API.
func referrersTag(tag string) bool {
	alg, hex, ok := strings.Cut(tag, "-")
	if !ok || alg != "sha256" && alg != "sha512" || len(hex) != referrersTagHex {
		return false
	}
	return strings.Trim(hex, "0123456789abcdef") == ""
}

// referrersTagHex is how many digits of a digest are in such a tag.
const referrersTagHex = 64

// absent tells whether an error says that a place has no such image.
func absent(err error) bool {
	return errors.Is(err, distribution.ErrNotFound) || exitStatus(err) == statusNotFound
}
