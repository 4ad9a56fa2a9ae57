module example.com/go-simpleapp

go 1.26
