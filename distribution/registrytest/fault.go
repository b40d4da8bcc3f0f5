package registrytest

import (
	"compress/gzip"
	"net/http"
	"net/http/httptest"
	"strconv"
	"time"
)

// recorded runs the registry and gives its whole answer, for a fault to alter.
func recorded(r *http.Request, next http.Handler) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	next.ServeHTTP(rec, r)
	return rec
}

func copyHeader(w http.ResponseWriter, h http.Header) {
	for k, v := range h {
		w.Header()[k] = v
	}
}

// alter gives a fault that sends what edit makes of the right answer. The header is sent as edit
// leaves it; a body shorter than its Content-Length ends in a cut connection.
func alter(edit func(h http.Header, body []byte) []byte) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		rec := recorded(r, next)
		body := edit(rec.Header(), rec.Body.Bytes())
		copyHeader(w, rec.Header())
		w.WriteHeader(rec.Code)
		if r.Method != http.MethodHead {
			_, _ = w.Write(body) // an over-long body is refused by net/http past Content-Length
		}
	}
}

// Cut closes the connection after n bytes of the right body.
func Cut(n int) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		rec := recorded(r, next)
		copyHeader(w, rec.Header())
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes()[:min(n, rec.Body.Len())])
		flush(w)
		panic(http.ErrAbortHandler)
	}
}

// Drop closes the connection without an answer.
func Drop() Fault {
	return func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }
}

// Flip inverts the byte at offset off of the body.
func Flip(off int) Fault {
	return alter(func(_ http.Header, body []byte) []byte {
		if off < len(body) {
			body[off] ^= 0xff
		}
		return body
	})
}

// Short answers a complete body that lacks its last n bytes.
func Short(n int) Fault {
	return alter(func(h http.Header, body []byte) []byte {
		body = body[:max(0, len(body)-n)]
		h.Set("Content-Length", strconv.Itoa(len(body)))
		return body
	})
}

// Long answers a complete body with n bytes more.
func Long(n int) Fault {
	return alter(func(h http.Header, body []byte) []byte {
		body = append(body, make([]byte, n)...)
		h.Set("Content-Length", strconv.Itoa(len(body)))
		return body
	})
}

// Endless answers a chunked body that never ends.
func Endless() Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		rec := recorded(r, next)
		rec.Header().Del("Content-Length")
		copyHeader(w, rec.Header())
		w.WriteHeader(http.StatusOK)
		_, err := w.Write(rec.Body.Bytes())
		for junk := make([]byte, 32<<10); err == nil && r.Context().Err() == nil; {
			_, err = w.Write(junk)
		}
	}
}

// Unsized answers the right body without Content-Length.
func Unsized() Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		rec := recorded(r, next)
		rec.Header().Del("Content-Length")
		copyHeader(w, rec.Header())
		w.WriteHeader(rec.Code)
		flush(w)
		_, _ = w.Write(rec.Body.Bytes())
	}
}

// Header sets a header of the right answer; "" removes it.
func Header(key, value string) Fault {
	return alter(func(h http.Header, body []byte) []byte {
		h.Set(key, value)
		if value == "" {
			h.Del(key)
		}
		return body
	})
}

// Status answers only a status, with header lines given in pairs and an error body.
func Status(code int, header ...string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Add(header[i], header[i+1])
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = w.Write([]byte(`{"errors":[{"code":"SCRIPTED","message":"scripted \u001b[31mfault\u001b[0m"}]}`))
	}
}

// Body answers 200 with this media type and body.
func Body(mediaType string, body []byte) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", mediaType)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	}
}

// Hang sends nothing until the client gives up.
func Hang() Fault {
	return func(_ http.ResponseWriter, r *http.Request, _ http.Handler) { <-r.Context().Done() }
}

// Stall sends n bytes of the right body and then nothing until the client gives up.
func Stall(n int) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		rec := recorded(r, next)
		copyHeader(w, rec.Header())
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes()[:min(n, rec.Body.Len())])
		flush(w)
		<-r.Context().Done()
	}
}

// Slow sends the right body in n pieces with a pause before each.
func Slow(n int, pause time.Duration) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		rec := recorded(r, next)
		copyHeader(w, rec.Header())
		w.WriteHeader(rec.Code)
		body := rec.Body.Bytes()
		for step := (len(body) + n - 1) / max(n, 1); len(body) > 0; {
			time.Sleep(pause)
			k := min(step, len(body))
			if _, err := w.Write(body[:k]); err != nil {
				return
			}
			flush(w)
			body = body[k:]
		}
	}
}

// IgnoreRange answers 200 and the whole body to a request for a range.
func IgnoreRange() Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		r.Header.Del("Range")
		next.ServeHTTP(w, r)
	}
}

// WrongRange answers a request for a range with one that starts n bytes later.
func WrongRange(n int) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		r.Header.Set("Range", "bytes="+strconv.Itoa(n)+"-")
		next.ServeHTTP(w, r)
	}
}

// NoContentRange answers a request for a range with a 206 that does not say which.
func NoContentRange() Fault { return Header("Content-Range", "") }

// Gzip compresses the body and says so, though nobody asked.
func Gzip() Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		rec := recorded(r, next)
		rec.Header().Del("Content-Length")
		rec.Header().Set("Content-Encoding", "gzip")
		copyHeader(w, rec.Header())
		w.WriteHeader(rec.Code)
		z := gzip.NewWriter(w)
		_, _ = z.Write(rec.Body.Bytes())
		_ = z.Close()
	}
}

// Redirect sends the client to the same path below base ("http://host:port").
func Redirect(base string) Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		http.Redirect(w, r, base+r.URL.RequestURI(), http.StatusTemporaryRedirect)
	}
}

func flush(w http.ResponseWriter) {
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
}
