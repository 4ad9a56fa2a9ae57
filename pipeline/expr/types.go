package expr

import (
	"fmt"
	"maps"
	"slices"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
)

// Names are what expressions may name, by examples or values: a map[string]any is an object, in which only what
// it has can be named. Other values are a string, an int64, a bool, a []string, or a map[string]string in which
// any key can be looked up. [Anything] is of any type.
type Names map[string]any

// Anything is an example of a value whose type isn't declared.
type Anything struct {
	// Value is what it is; nil where that isn't known either, so that what depends on it is [ErrUnknown].
	Value any
}

// provider tells CEL's checker which names objects have.
type provider struct {
	types.Provider
	objects map[string]map[string]any
}

// objectPrefix keeps the names of objects' types apart from what expressions name.
const objectPrefix = "object "

// typeOf returns the type of an example, and declares the objects in it. path names it.
func (p *provider) typeOf(path string, example any) *cel.Type {
	switch v := example.(type) {
	case string:
		return cel.StringType
	case int64:
		return cel.IntType
	case bool:
		return cel.BoolType
	case []string:
		return cel.ListType(cel.StringType)
	case map[string]string:
		return cel.MapType(cel.StringType, cel.StringType)
	case map[string]any:
		p.objects[path] = v
		for name, field := range v {
			p.typeOf(path+"."+name, field)
		}
		return cel.ObjectType(path)
	case Anything:
		return cel.DynType
	default:
		panic(fmt.Sprintf("expr: an example of %s is a %T", path, example))
	}
}

// FindStructType finds the type of an object.
func (p *provider) FindStructType(name string) (*types.Type, bool) {
	if _, ok := p.objects[name]; ok {
		return types.NewTypeTypeWithParam(types.NewObjectType(name)), true
	}
	return p.Provider.FindStructType(name)
}

// FindStructFieldNames lists what an object has.
func (p *provider) FindStructFieldNames(name string) ([]string, bool) {
	if fields, ok := p.objects[name]; ok {
		return slices.Sorted(maps.Keys(fields)), true
	}
	return p.Provider.FindStructFieldNames(name)
}

// FindStructFieldType finds the type of what an object has. Values are looked up in the map that the object is.
func (p *provider) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	fields, ok := p.objects[name]
	if !ok {
		return p.Provider.FindStructFieldType(name, field)
	}
	example, ok := fields[field]
	if !ok {
		return nil, false
	}
	return &types.FieldType{Type: p.typeOf(name+"."+field, example)}, true
}
