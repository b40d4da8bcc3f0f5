package distribution

import (
	"slices"
	"testing"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestJobs(t *testing.T) {
	blobs := func(n int, size int64) []ispec.Descriptor {
		return slices.Repeat([]ispec.Descriptor{{Size: size}}, n)
	}
	for _, tt := range []struct {
		asked, want int
		list        []ispec.Descriptor
	}{
		{0, 6, nil},
		{0, 6, blobs(3, 100)},
		{0, 12, blobs(60, 1<<20)},
		{0, 6, blobs(60, 10<<20)},
		{0, 6, append(blobs(10, 1000), blobs(1, 1<<30)...)},
		{2, 2, blobs(60, 1<<20)},
	} {
		p := pull{o: PullOptions{Jobs: tt.asked}}
		if got := p.jobs(tt.list); got != tt.want {
			t.Errorf("%d blobs, asked for %d: %d at once, want %d", len(tt.list), tt.asked, got, tt.want)
		}
	}
}
