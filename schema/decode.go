package schema

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// A Defaulter sets defaults before its fields are filled, so that a zero given in the file stays.
type Defaulter interface{ SetDefaults() }

// A Validator checks what no single field can tell, once its fields are filled. n is the node the
// value came from; the error is best a Diagnostic made by n or one of its fields.
type Validator interface{ Validate(n *Node) error }

// A PartValidator is a [Validator] of a mapping that is asked also when fields are wrong, so that all is found at
// once. It may rely on no field: those that are wrong or missing have their defaults.
type PartValidator interface{ ValidatePart(n *Node) error }

// A NodeDecoder fills itself from a node instead of by its fields.
type NodeDecoder interface{ DecodeNode(n *Node) error }

// Decode sets the defaults of dst, a pointer to a struct, and then fills it from n. Keys are those
// of the json tags. It reports every unknown key, wrong type and missing value at once, as
// [Diagnostics]. Fields understand these tags:
//
//	required:"true"   the key must be there and not empty
//	enum:"a,b,c"      the value must be one of these
//
// A field of type *Node takes any value as it stands in the file.
func Decode(n *Node, dst any) error {
	v := reflect.ValueOf(dst)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		panic("schema.Decode: dst must be a non-nil pointer")
	}
	d := &decoder{}
	d.value(n, v.Elem())
	return d.found.Err()
}

type decoder struct{ found Diagnostics }

func (d *decoder) report(diag Diagnostic) { d.found = append(d.found, diag) }

var (
	nodeType     = reflect.TypeFor[*Node]()
	durationType = reflect.TypeFor[time.Duration]()
	anyType      = reflect.TypeFor[any]()
)

func (d *decoder) value(n *Node, v reflect.Value) {
	if v.Type() == nodeType {
		v.Set(reflect.ValueOf(n))
		return
	}
	if v.Kind() == reflect.Pointer {
		if n.IsNull() && v.Type().Elem().Kind() != reflect.Struct {
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem())
		return
	}
	if v.CanAddr() {
		if def, ok := reflect.TypeAssert[Defaulter](v.Addr()); ok {
			def.SetDefaults()
		}
		if nd, ok := reflect.TypeAssert[NodeDecoder](v.Addr()); ok {
			d.found.Collect(n.Pos(), n.path, nd.DecodeNode(n))
			return
		}
	}
	before := len(d.found)
	d.fill(n, v)
	if !v.CanAddr() {
		return
	}
	if val, ok := reflect.TypeAssert[PartValidator](v.Addr()); ok && n.IsMapping() {
		d.found.Collect(n.Pos(), n.path, val.ValidatePart(n))
	}
	if len(d.found) == before {
		if val, ok := reflect.TypeAssert[Validator](v.Addr()); ok {
			d.found.Collect(n.Pos(), n.path, val.Validate(n))
		}
	}
}

func (d *decoder) fill(n *Node, v reflect.Value) {
	if n.IsNull() {
		return
	}
	switch {
	case v.Type() == durationType:
		d.duration(n, v)
	case v.Type() == anyType:
		plain, err := n.Value()
		d.found.Collect(n.Pos(), n.path, err)
		if plain != nil {
			v.Set(reflect.ValueOf(plain))
		}
	case v.Kind() == reflect.Struct:
		d.structure(n, v)
	case v.Kind() == reflect.Map:
		d.mapping(n, v)
	case v.Kind() == reflect.Slice:
		d.sequence(n, v)
	default:
		d.scalar(n, v)
	}
}

func (d *decoder) structure(n *Node, v reflect.Value) {
	if !n.IsMapping() {
		d.report(n.Errorf("expected a mapping, found %s", n.describe()))
		return
	}
	fields := fieldsOf(v.Type())
	given := map[string]*Node{}
	for _, p := range n.Pairs() {
		given[p.Key] = p.Value
		f, known := fields.byName(p.Key)
		if !known {
			d.report(Diagnostic{
				Pos: p.KeyPos, Path: p.Value.path, Msg: "unknown field",
				Hint: Suggest(p.Key, fields.names()),
			})
			continue
		}
		fv := v.FieldByIndex(f.index)
		before := len(d.found)
		d.value(p.Value, fv)
		if len(d.found) == before && len(f.enum) > 0 && !p.Value.IsNull() && !slices.Contains(f.enum, p.Value.Text()) {
			diag := p.Value.Errorf("expected one of %s, found %q", strings.Join(f.enum, ", "), p.Value.Text())
			diag.Hint = Suggest(p.Value.Text(), f.enum)
			d.report(diag)
		}
	}
	for _, f := range fields {
		if !f.required {
			continue
		}
		if g := given[f.name]; g == nil {
			d.report(Diagnostic{Pos: n.Pos(), Path: join(n.path, f.name), Msg: "missing, but required"})
		} else if g.IsNull() || (g.yaml.Kind == yaml.ScalarNode && g.Text() == "" && v.FieldByIndex(f.index).Kind() == reflect.String) {
			d.report(g.Errorf("is empty, but required"))
		}
	}
}

func (d *decoder) mapping(n *Node, v reflect.Value) {
	if !n.IsMapping() {
		d.report(n.Errorf("expected a mapping, found %s", n.describe()))
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, p := range n.Pairs() {
		e := reflect.New(v.Type().Elem()).Elem()
		d.value(p.Value, e)
		v.SetMapIndex(reflect.ValueOf(p.Key).Convert(v.Type().Key()), e)
	}
}

func (d *decoder) sequence(n *Node, v reflect.Value) {
	items := n.Items()
	if n.yaml.Kind != yaml.SequenceNode {
		diag := n.Errorf("expected a list, found %s", n.describe())
		diag.Hint = "begin each entry with “- ”"
		d.report(diag)
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(items), len(items)))
	for i, item := range items {
		d.value(item, v.Index(i))
	}
}

func (d *decoder) duration(n *Node, v reflect.Value) {
	t, err := time.ParseDuration(n.Text())
	if err != nil || t < 0 {
		d.report(n.Errorf("expected a duration such as 90s, 5m or 1h30m, found %q", n.Text()))
		return
	}
	v.SetInt(int64(t))
}

func (d *decoder) scalar(n *Node, v reflect.Value) {
	want := map[reflect.Kind]string{
		reflect.String: "a string", reflect.Bool: "true or false",
		reflect.Int: "a whole number", reflect.Int64: "a whole number", reflect.Int32: "a whole number",
		reflect.Float64: "a number",
	}[v.Kind()]
	if want == "" {
		panic(fmt.Sprintf("schema.Decode: field of unsupported type %s", v.Type()))
	}
	// YAML reads 1.10 and true as number and boolean: a version or a label value lost its quotes.
	if v.Kind() == reflect.String && n.yaml.Kind == yaml.ScalarNode && n.yaml.ShortTag() != "!!str" && n.yaml.ShortTag() != "!!timestamp" {
		if n.yaml.Style&yaml.TaggedStyle != 0 && !n.IsNull() {
			v.SetString(n.Text())
			return
		}
		diag := n.Errorf("expected a string, found %s", n.describe())
		diag.Hint = fmt.Sprintf("put it in quotes: %q", n.Text())
		d.report(diag)
		return
	}
	dst := reflect.New(v.Type())
	// The YAML library would cut 1.5 to a whole number.
	cut := dst.Elem().CanInt() && n.yaml.ShortTag() != "!!int"
	// It also takes "yes" in quotes for true.
	quoted := v.Kind() == reflect.Bool && n.yaml.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0
	if n.yaml.Kind != yaml.ScalarNode || cut || quoted || n.yaml.Decode(dst.Interface()) != nil {
		d.report(n.Errorf("expected %s, found %s", want, n.describe()))
		return
	}
	v.Set(dst.Elem())
}

// describe names what the node is, in the words of messages.
func (n *Node) describe() string {
	switch {
	case n.IsMapping():
		return "a mapping"
	case n.yaml.Kind == yaml.SequenceNode:
		return "a list"
	}
	switch n.yaml.ShortTag() {
	case "!!bool":
		return "the boolean " + n.Text()
	case "!!int", "!!float":
		return "the number " + n.Text()
	case "!!null":
		return "nothing"
	default:
		return fmt.Sprintf("the string %q", n.Text())
	}
}
