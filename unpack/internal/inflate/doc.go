// Package inflate decompresses gzip (RFC 1952) with a DEFLATE decoder (RFC 1951) of this project,
// because that is what unpacking a layer spends most of its time on. It takes about half the
// processor time of the decoder of klauspost/compress, and a third with the assembly for amd64;
// BenchmarkRatio measures that. It only decodes, and only gzip.
//
// # What it promises
//
//   - [Reader] gives the bytes of all members, one after the other. At io.EOF the source was read to
//     its end and each member had the CRC-32 and the size that its trailer says. Zeros may follow
//     the last member, as tape-style padding; anything else is ErrGarbage.
//   - It accepts the blocks that compress/flate accepts and gives the same bytes for them: codes
//     must be complete, except for a single code of one bit, and no codes at all as long as none is
//     used. Fuzzing compares the two.
//   - What was decoded before an error is given to the caller before the error. A stream that is
//     cut short is io.ErrUnexpectedEOF, and a failure of the source comes through as it is.
//   - Memory is one input buffer, the window and up to two sets of tables: about 260 KiB whatever
//     the stream holds. There is no goroutine, no state outside the Reader, and no work at start-up.
//   - The source is asked only if the bytes that are there end within something, and nothing is
//     left to give to the caller.
//
// # What it refuses
//
// Members with another method than DEFLATE, with reserved flags, or with a wrong header CRC-16; an
// empty stream; the reserved block type; matches that reach back before the member's start.
//
// # How it works
//
// Each step of the format (field of the header, block header, symbol, trailer) either finds all its
// input in the buffer or changes nothing, and is done again after more was read. So there is no
// state within a step, and the fast loop stops where input or room could end within a symbol.
//
// The fast loop keeps 56 to 63 bits of input in a register, loading 8 bytes at a time. A table
// index of 11 bits (8 for distances) gives one 32-bit entry with all there is to know about a
// symbol: how many bits it takes with its extra bits, how many of them are the code, and what to
// add them to. Longer codes take a second look-up. The window has room for the longest match beyond
// the point where the loop stops, so that matches can be copied in pieces that are too long.
//
// fast_amd64.s is the same loop with the shifts of BMI2, which need no particular register and no
// mask, and with 16-byte copies. It is used if the processor has them; fastGo is its twin for
// others and for the build tag purego. Tests compare the state that the two leave behind.
package inflate
