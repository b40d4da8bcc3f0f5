package convert

import (
	"encoding/csv"
	"strconv"
	"strings"
)

// gpuKind are the devices for which NVIDIA's tools write CDI files (nvidia-ctk cdi generate).
const gpuKind = "nvidia.com/gpu"

// maxGPUs bounds a count: no machine has more, and each is a name to look for.
const maxGPUs = 256

// parseGPUs takes what Docker's --gpus takes, and gives the names of the devices: "all", a number N for the first N, or
// comma-separated fields count=N or all, device=NAME (with several: "device=0,2" in quotes), driver=nvidia.
func parseGPUs(value string) ([]string, error) {
	fields, err := csv.NewReader(strings.NewReader(value)).Read()
	if err != nil {
		return nil, usage("--gpus", value, "want all, a number, or device=NAME")
	}
	var names []string
	for _, field := range fields {
		key, v, ok := strings.Cut(field, "=")
		if !ok {
			key, v = "count", field
		}
		var some []string
		switch key {
		case "count":
			some, err = countGPUs(value, v)
		case "device":
			some = strings.Split(v, ",")
		case "driver":
			if v != "nvidia" {
				err = usage("--gpus", value, "the driver is nvidia; devices of others are given by --device VENDOR/CLASS=NAME")
			}
		case "capabilities", "options":
			err = usage("--gpus", value, "%s is for Docker's own driver: with CDI the file of the device says what a container gets", key)
		default:
			err = usage("--gpus", value, "unknown field %q", key)
		}
		if err != nil {
			return nil, err
		}
		if len(some) > 0 && names != nil {
			return nil, usage("--gpus", value, "a number and devices, or either of them twice")
		}
		names = append(names, some...)
	}
	if len(names) == 0 {
		return nil, usage("--gpus", value, "want all, a number, or device=NAME")
	}
	for _, n := range names {
		if n == "" || strings.Trim(n, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-.:") != "" {
			return nil, usage("--gpus", value, "%q is no name of a GPU", n)
		}
	}
	return names, nil
}

// countGPUs names the first n GPUs, or all.
func countGPUs(value, count string) ([]string, error) {
	if count == "all" || count == "-1" {
		return []string{"all"}, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 1 || n > maxGPUs {
		return nil, usage("--gpus", value, "want all, a number from 1 to %d, or device=NAME", maxGPUs)
	}
	names := make([]string, n)
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	return names, nil
}
