package registry

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"
)

const (
	// sendStep is how much of an answer must leave, and readStep how much of a request must come, in
	// Options.Stall: with one minute, 4 KiB and 1 KiB a second. A slower client is cut off.
	sendStep = 256 << 10
	readStep = 64 << 10
)

// paced is one request and its answer. It gives both a time in which they have to go on, however
// long they take as a whole, and counts their bytes for the log.
type paced struct {
	http.ResponseWriter
	rc    *http.ResponseController
	stall time.Duration // 0: no limit
	begun time.Time

	status         int
	sent, received int64
}

// begin gives the answer, and the request with a body that it watches.
func (h *Handler) begin(w http.ResponseWriter, r *http.Request) (*paced, *http.Request) {
	x := &paced{ResponseWriter: w, rc: http.NewResponseController(w), stall: h.o.Stall, begun: time.Now()}
	watched := *r // the server keeps the original for what it does with the rest of the body
	if r.Body != nil && r.Body != http.NoBody {
		watched.Body = &pacedBody{ReadCloser: r.Body, x: x}
	}
	x.extend(1)
	return x, &watched
}

// end writes the line of the log.
func (x *paced) end(h *Handler, r *http.Request) {
	ctx := context.WithoutCancel(r.Context())
	if !h.log.Enabled(ctx, slog.LevelInfo) {
		return
	}
	h.log.LogAttrs(ctx, slog.LevelInfo, "request",
		slog.String("client", r.RemoteAddr), slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.String("agent", r.UserAgent()), slog.Int("status", x.status), slog.Int64("sent", x.sent),
		slog.Int64("received", x.received), slog.Duration("took", time.Since(x.begun)))
}

// extend gives the client n times the stall time from now on, for both directions: the server
// watches for the end of the connection by reading while it writes. What serves the request may be no
// real connection, which has no times.
func (x *paced) extend(n int) {
	if x.stall > 0 {
		x.until(time.Now().Add(time.Duration(n) * x.stall))
	}
}

// unbounded takes the limit away while this side is at work and the client has to wait.
func (x *paced) unbounded() {
	if x.stall > 0 {
		x.until(time.Time{})
	}
}

func (x *paced) until(t time.Time) {
	_ = x.rc.SetReadDeadline(t)
	_ = x.rc.SetWriteDeadline(t)
}

// Unwrap is for http.ResponseController.
func (x *paced) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// WriteHeader sends the status.
func (x *paced) WriteHeader(status int) {
	x.status = status
	x.extend(1)
	x.ResponseWriter.WriteHeader(status)
}

// Write sends a part of the answer.
func (x *paced) Write(p []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	n, err := x.ResponseWriter.Write(p)
	x.sent += int64(n)
	return n, err
}

// ReadFrom sends src in steps, each of which has its time. Of a file below an io.LimitedReader, as
// io.CopyN gives it, net/http makes a sendfile.
func (x *paced) ReadFrom(src io.Reader) (int64, error) {
	rest, ok := src.(*io.LimitedReader)
	to, direct := x.ResponseWriter.(io.ReaderFrom)
	if !ok || !direct {
		return io.Copy(struct{ io.Writer }{x}, src)
	}
	var sum int64
	for rest.N > 0 {
		x.extend(1)
		step := io.LimitedReader{R: rest.R, N: min(rest.N, sendStep)}
		n, err := to.ReadFrom(&step)
		sum, rest.N, x.sent = sum+n, rest.N-n, x.sent+n
		if err != nil || step.N > 0 { // step.N > 0: src ended early
			return sum, err
		}
	}
	return sum, nil
}

// pacedBody is the body of a request.
type pacedBody struct {
	io.ReadCloser
	x     *paced
	step  int64 // bytes since the last extension
	fixed bool  // the time does not grow with what comes
}

// Read reads, and gives more time for the next step once this one is complete.
func (b *pacedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.x.received += int64(n)
	b.step += int64(n)
	if b.step >= readStep && !b.fixed {
		b.step = 0
		b.x.extend(1)
	}
	if err == io.EOF {
		b.x.unbounded() // all is here: the client waits
	}
	return n, err
}

// within gives the whole body of r a fixed time, for bodies that memory holds.
func (x *paced) within(r *http.Request, stalls int) {
	if b, ok := r.Body.(*pacedBody); ok {
		b.fixed = true
	}
	x.extend(stalls)
}
