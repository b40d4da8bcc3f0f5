package program

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"testing"
)

// TestParse reads programs of both sizes and orders, and what breaks off.
func TestParse(t *testing.T) {
	for _, c := range []struct {
		name string
		raw  []byte
		want Program
	}{
		{"64 bits", elf(binary.LittleEndian, 64, 62, "/lib/ld.so"), Program{ELF: true, Bits: 64, Machine: 62, Loader: "/lib/ld.so"}},
		{"32 bits", elf(binary.LittleEndian, 32, 40, "/lib/ld"), Program{ELF: true, Bits: 32, Machine: 40, Loader: "/lib/ld"}},
		{"big-endian", elf(binary.BigEndian, 64, 22, "/lib/ld64"), Program{ELF: true, Bits: 64, Machine: 22, Loader: "/lib/ld64"}},
		{"broken off", elf(binary.LittleEndian, 64, 62, "/lib/ld.so")[:70], Program{ELF: true, Bits: 64, Machine: 62, Torn: true}},
		{"script", []byte("#! /bin/sh -e\nexit\n"), Program{Script: true, Loader: "/bin/sh"}},
		{"script of nothing", []byte("#!\n"), Program{Script: true}},
		{"text", []byte("hello"), Program{}},
		{"nothing", nil, Program{}},
	} {
		got := parse(c.raw)
		got.Head = nil
		if !reflect.DeepEqual(*got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, *got, c.want)
		}
	}
}

func parse(raw []byte) *Program {
	return Parse(raw[:min(len(raw), 256)], func(b []byte, at int64) bool {
		return at >= 0 && at <= int64(len(raw)) && copy(b, raw[at:]) == len(b)
	})
}

// elf is a program with an interpreter and nothing else.
func elf(order binary.ByteOrder, bits int, machine uint16, loader string) []byte {
	raw := bytes.Clone([]byte("\x7fELF\x02\x01\x01"))
	raw = append(raw, make([]byte, 113+len(loader)+1)...)
	if order == binary.BigEndian {
		raw[5] = 2
	}
	order.PutUint16(raw[18:], machine)
	if bits == 64 {
		order.PutUint64(raw[32:], 64) // the program headers follow
		order.PutUint16(raw[54:], 56)
		order.PutUint16(raw[56:], 1)
		order.PutUint32(raw[64:], 3)
		order.PutUint64(raw[72:], 120)
		order.PutUint64(raw[96:], uint64(len(loader)+1))
	} else {
		raw[4] = 1
		order.PutUint32(raw[28:], 64)
		order.PutUint16(raw[42:], 32)
		order.PutUint16(raw[44:], 1)
		order.PutUint32(raw[64:], 3)
		order.PutUint32(raw[68:], 120)
		order.PutUint32(raw[80:], uint32(len(loader)+1))
	}
	copy(raw[120:], loader)
	return raw
}

// FuzzParse: no file makes the reader stop, or read without end.
func FuzzParse(f *testing.F) {
	f.Add(elf(binary.LittleEndian, 64, 62, "/lib/ld.so"))
	f.Add(elf(binary.BigEndian, 32, 22, "/lib/ld"))
	f.Add([]byte("#!/bin/sh"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if p := parse(raw); len(p.Loader) > 4096 || p.Script && p.ELF {
			t.Errorf("%+v", p)
		}
	})
}
