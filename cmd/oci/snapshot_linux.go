package main

import (
	"context"
	"errors"
)

func (r *imageRun) layers(context.Context) ([]string, error) { return nil, errors.ErrUnsupported }
func (r *imageRun) mount(context.Context) error              { return errors.ErrUnsupported }
