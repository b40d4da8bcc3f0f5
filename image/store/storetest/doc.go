// Package storetest is the contract of a content store, as tests: what package distribution and
// package transport count on when they put content somewhere. Whatever implements Store must pass Run.
package storetest
