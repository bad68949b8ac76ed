package bpf

// The objects are committed, so building xrx takes Go alone. To regenerate them takes clang 14 and libbpf's headers
// (Debian 12: clang-14 llvm-14 libbpf-dev); another clang makes other code, and the comparison in CI then fails.
// Little-endian only: that is what the metadata is defined as.

//go:generate go tool bpf2go -cc clang-14 -strip llvm-strip-14 -target bpfel -cflags "-O2 -g -Wall -Werror -mcpu=v3" -type xrx_meta -type xrx_meta_ts -type xrx_flag -type xrx_tag -type xrx_reason xrx xrx.bpf.c
//go:generate go tool bpf2go -cc clang-14 -strip llvm-strip-14 -target bpfel -cflags "-O2 -g -Wall -Werror -mcpu=v3" xrxPass pass.bpf.c
