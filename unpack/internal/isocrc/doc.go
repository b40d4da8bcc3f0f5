// Package isocrc computes the CRC-64 of ISO 3309, the sum that tar-split logs hold of each file, three to
// four times as fast as hash/crc64 and without tables or assembly.
//
// Its polynomial, x^64 + x^4 + x^3 + x + 1, is so sparse that multiplying by x^64 modulo it is a
// multiplication by x^4 + x^3 + x + 1: three shifts and as many additions without carry. Squaring such a
// sum doubles its exponents, so that x^256 is x^16 + x^12 + x^4 + 1: as cheap, and four words
// can be summed beside each other. Do not use this sum as proof of anything: whoever wants a file with
// another content and the same sum makes one.
package isocrc
