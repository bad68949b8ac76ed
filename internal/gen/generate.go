package gen

// The object is committed, so building takes Go alone. To regenerate it takes clang 14 and libbpf's headers (Debian 12:
// clang-14 llvm-14 libbpf-dev).

//go:generate go tool bpf2go -cc clang-14 -strip llvm-strip-14 -target bpfel -cflags "-O2 -g -Wall -Werror -mcpu=v3 -I../../bpf" live gen.bpf.c
