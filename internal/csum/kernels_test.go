package csum

func kernels() []kernel { return []kernel{{"Sum", Sum}, {"generic", sumGeneric}} }
