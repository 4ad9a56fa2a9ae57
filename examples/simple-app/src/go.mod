module example.com/simple-app

go 1.26
