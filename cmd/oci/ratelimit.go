package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// rateLimit is the JSON of `oci ratelimit`; what the registry does not say is absent.
type rateLimit struct {
	Name      string `json:"name"`
	Limit     *int   `json:"limit,omitempty"`
	Remaining *int   `json:"remaining,omitempty"`
	Window    int64  `json:"windowSeconds,omitempty"`
	Source    string `json:"source,omitempty"`
}

func ratelimitCommand(a *app) *cobra.Command {
	var t transferFlags
	var format formatFlag
	cmd := &cobra.Command{
		Use:   "ratelimit REF",
		Short: "Show what is left of a registry's limit on pulls",
		Long: "Show what a registry says is left of its limit on pulls, for the credentials in use. REF is any image there;\n" +
			"asking is one HEAD, which Docker Hub does not count.",
		Args: exact(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			ref, err := a.refer(ctx, args[0], t)
			if err != nil {
				return err
			}
			c, err := a.client(t)
			if err != nil {
				return err
			}
			r, err := c.RateLimit(ctx, ref)
			if err != nil {
				return err
			}
			v := rateLimit{Name: ref.String(), Window: int64(r.Window.Seconds()), Source: r.Source}
			if r.Limit >= 0 {
				v.Limit = &r.Limit
			}
			if r.Remaining >= 0 {
				v.Remaining = &r.Remaining
			}
			if format.json() {
				return format.write(a.out, v)
			}
			_, err = fmt.Fprintln(a.out, v.text())
			return err
		},
	}
	t.registerAccess(cmd.Flags())
	format.registerOutput(cmd.Flags())
	return cmd
}

// text is what the registry says, for people.
func (v rateLimit) text() string {
	if v.Limit == nil && v.Remaining == nil {
		return "the registry names no limit"
	}
	number := func(n *int) string {
		if n == nil {
			return "?"
		}
		return fmt.Sprint(*n)
	}
	s := number(v.Remaining) + " of " + number(v.Limit) + " pulls left"
	if v.Window > 0 {
		s += fmt.Sprintf(" in %d s", v.Window)
	}
	if v.Source != "" {
		s += ", counted for " + v.Source
	}
	return s
}
