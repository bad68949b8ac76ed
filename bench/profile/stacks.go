package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// frame is one level of a stack.
type frame struct {
	addr   uint64
	symbol string // the function that the linker knows
	kernel bool
	source string // the function that the line is in, where that was inlined: package folder and name
}

// stack is one sample, the innermost frame first.
type stack []frame

// parse reads what perf script prints: a line for each sample, its frames indented below, an empty line.
func parse(script []byte) (stacks []stack, err error) {
	var s stack
	lines := bufio.NewScanner(bytes.NewReader(script))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case line == "":
			if len(s) > 0 {
				stacks = append(stacks, s)
			}
			s = nil
		case line[0] == ' ' || line[0] == '\t':
			f, ok := frameOf(line)
			if ok {
				s = append(s, f)
			}
		}
	}
	if len(s) > 0 {
		stacks = append(stacks, s)
	}
	if len(stacks) == 0 {
		return nil, errors.Join(errors.New("perf took no sample"), lines.Err())
	}
	return stacks, lines.Err()
}

// frameOf reads "  addr symbol (object)".
func frameOf(line string) (f frame, ok bool) {
	addr, rest, ok := strings.Cut(strings.TrimSpace(line), " ")
	i := strings.LastIndex(rest, " (")
	if !ok || i < 0 {
		return f, false
	}
	if f.addr, _ = strconv.ParseUint(addr, 16, 64); f.addr == 0 {
		return f, false
	}
	f.symbol = rest[:i]
	object := strings.Trim(rest[i+1:], "()")
	f.kernel = strings.HasPrefix(object, "[kernel") || f.addr>>63 == 1
	return f, true
}

// functions are where the functions of a source tree are: by file, ordered by first line.
type functions map[string][]function

type function struct {
	first, last int
	name        string
}

// readSource reads where every function of the repository is: a line table says which line an instruction is of, also
// where the function was inlined, but not which function.
func readSource(root string) (functions, error) {
	list := functions{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (d.Name() == "bench" || d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".")):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return err
		}
		folder, err := filepath.Rel(filepath.Dir(root), filepath.Dir(path))
		if err != nil {
			return err
		}
		_, folder, _ = strings.Cut(folder+"/", "/") // without the checkout's own name
		folder = strings.TrimSuffix(folder, "/")
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				list[path] = append(list[path], function{set.Position(fn.Pos()).Line, set.Position(fn.End()).Line, folder + ":" + receiverOf(fn) + fn.Name.Name})
			}
		}
		return nil
	})
	return list, err
}

// receiverOf is "Type." of a method.
func receiverOf(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	t := f.Recv.List[0].Type
	if s, ok := t.(*ast.StarExpr); ok {
		t = s.X
	}
	switch x := t.(type) {
	case *ast.IndexExpr:
		t = x.X
	case *ast.IndexListExpr:
		t = x.X
	}
	if id, ok := t.(*ast.Ident); ok {
		return id.Name + "."
	}
	return ""
}

func (fs functions) at(file string, line int) string {
	list := fs[file]
	i := sort.Search(len(list), func(i int) bool { return list[i].last >= line })
	if i < len(list) && list[i].first <= line {
		return list[i].name
	}
	return ""
}

// locate finds the source functions of a program's frames.
func locate(stacks []stack, bin string, source functions) error {
	var ask bytes.Buffer
	place := map[uint64]int{}
	for _, s := range stacks {
		for i, f := range s {
			if at := f.at(i); !f.kernel {
				if _, ok := place[at]; !ok {
					place[at] = len(place)
					fmt.Fprintf(&ask, "%#x\n", at)
				}
			}
		}
	}
	cmd := exec.Command("go", "tool", "addr2line", bin)
	cmd.Stdin = &ask
	out, err := cmd.Output() // two lines for each address: function, file:line
	if err != nil {
		return fmt.Errorf("go tool addr2line: %w", err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != 2*len(place) && len(place) > 0 {
		return fmt.Errorf("go tool addr2line gave %d lines for %d addresses", len(lines), len(place))
	}
	for _, s := range stacks {
		for i := range s {
			if s[i].kernel {
				continue
			}
			where := lines[2*place[s[i].at(i)]+1]
			if file, line, ok := cutLast(where, ":"); ok {
				n, _ := strconv.Atoi(line)
				s[i].source = source.at(file, n)
			}
		}
	}
	return nil
}

// at is the address of the instruction: of a caller, that before the one it returns to.
func (f frame) at(depth int) uint64 {
	if depth > 0 {
		return f.addr - 1
	}
	return f.addr
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}
