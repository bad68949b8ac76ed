package xrx_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// goFiles parses every Go file of the module, by its path; bench and bin are not part of it.
func goFiles(t *testing.T) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (path == "bench" || path == "bin" || path != "." && strings.HasPrefix(d.Name(), ".")):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go"):
			return nil
		}
		files[path], err = parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func imports(f *ast.File) (list []string) {
	for _, i := range f.Imports {
		path, _ := strconv.Unquote(i.Path.Value)
		list = append(list, path)
	}
	return list
}

// unsafeFiles is where unsafe code may be. A new file is a decision: name it here.
var unsafeFiles = []string{
	"internal/afpacket/send_unsafe.go",
	"internal/sys/ethtool_unsafe.go",
	"internal/sys/load_unsafe.go",
	"internal/sys/stay_unsafe.go",
	"internal/sys/xsk_unsafe.go",
	"internal/vethnet/ethtool_unsafe.go",
	"umem/export_unsafe_test.go",
	"umem/header_unsafe.go",
	"xsk/rings_unsafe.go",
}

// elsewhere are the uses of unsafe outside those files: layout assertions, and the address of the region.
var elsewhere = map[string][]string{
	"gro/entry.go":   {"Sizeof", "Offsetof"},
	"umem/header.go": {"Sizeof", "Offsetof"},
	"umem/umem.go":   {"Pointer", "SliceData"},
}

func TestUnsafeCodeIsWhereTheListSaysAndGivesItsReason(t *testing.T) {
	files := goFiles(t)
	for path, f := range files {
		if !slices.Contains(imports(f), "unsafe") {
			continue
		}
		if slices.Contains(unsafeFiles, path) {
			if !slices.ContainsFunc(f.Comments, func(c *ast.CommentGroup) bool { return strings.Contains(c.Text(), "Safety:") }) {
				t.Errorf("%s has no // Safety: line", path)
			}
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "unsafe" && !slices.Contains(elsewhere[path], s.Sel.Name) {
					t.Errorf("%s uses unsafe.%s: move it to a file named *_unsafe.go", path, s.Sel.Name)
				}
			}
			return true
		})
	}
	for _, path := range unsafeFiles {
		if f := files[path]; f == nil || !slices.Contains(imports(f), "unsafe") {
			t.Errorf("%s is on the list and has no unsafe code", path)
		}
	}
}

// Row of the table of packages in docs/ARCHITECTURE.md.
var layerRow = regexp.MustCompile("(?m)^\\| (\\d) \\| `([\\w/]+)` \\|")

func TestImportsPointOneWayAsTheDocumentsSay(t *testing.T) {
	text, err := os.ReadFile("docs/ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	layers := map[string]int{}
	for _, row := range layerRow.FindAllStringSubmatch(string(text), -1) {
		path := "xrx/" + row[2]
		if row[2] == "xrx" {
			path = "xrx"
		}
		layers[path], _ = strconv.Atoi(row[1])
	}
	if len(layers) < 10 {
		t.Fatalf("docs/ARCHITECTURE.md has %d packages in its table", len(layers))
	}
	seen := map[string]bool{}
	for path, f := range goFiles(t) {
		importer := strings.TrimSuffix("xrx/"+filepath.ToSlash(filepath.Dir(path)), "/.")
		layer, listed := layers[importer]
		seen[importer] = true
		if !strings.Contains(string(text), "`"+strings.TrimPrefix(importer, "xrx/")) {
			t.Errorf("docs/ARCHITECTURE.md does not name %s", importer)
		}
		if !listed || strings.HasSuffix(path, "_test.go") {
			continue
		}
		for _, imported := range imports(f) {
			if below, ok := layers[imported]; ok && below >= layer {
				t.Errorf("%s, layer %d, imports %s of layer %d", path, layer, imported, below)
			}
		}
	}
	for path := range layers {
		if !seen[path] {
			t.Errorf("docs/ARCHITECTURE.md has a package %s, which is not there", path)
		}
	}
}

var (
	mdLink    = regexp.MustCompile(`\]\(([^)#:]*)(?:#([^)]*))?\)`)
	mdHeading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	notInID   = regexp.MustCompile(`[^\w\- ]`)
)

// headings returns the names that GitHub gives a document's headings.
func headings(t *testing.T, doc string) (ids []string) {
	t.Helper()
	text, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mdHeading.FindAllStringSubmatch(string(text), -1) {
		ids = append(ids, strings.ReplaceAll(notInID.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return ids
}

func TestTheDocumentsPointToWhatIsThere(t *testing.T) {
	docs, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	adrs, err := filepath.Glob("docs/adr/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range append(append(docs, adrs...), "README.md") {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range mdLink.FindAllStringSubmatch(string(text), -1) {
			there := doc
			if link[1] != "" {
				there = filepath.Join(filepath.Dir(doc), link[1])
			}
			if _, err := os.Stat(there); err != nil {
				t.Errorf("%s points to %s: %v", doc, link[1], err)
			} else if link[2] != "" && !slices.Contains(headings(t, there), link[2]) {
				t.Errorf("%s points to a heading #%s, which %s has not", doc, link[2], there)
			}
		}
	}
	index, err := os.ReadFile("docs/adr/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, adr := range adrs {
		if name := filepath.Base(adr); name != "README.md" && !strings.Contains(string(index), "("+name+")") {
			t.Errorf("docs/adr/README.md does not list %s", name)
		}
	}
}
