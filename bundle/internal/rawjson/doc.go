// Package rawjson takes JSON apart only where that is asked for, and keeps the order of members and the spelling of what is
// not looked at.
package rawjson
