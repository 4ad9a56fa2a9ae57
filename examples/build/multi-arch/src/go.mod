module example.com/multi-arch

go 1.26
