module example.com/ssh

go 1.26
