package render

import "hash/fnv"

// Say prints a line that no event of a run is behind. tag says whom it is from, such as a pod, and may be
// empty. Both have to be clean.
func (p *Plain) Say(tag, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if tag != "" {
		text = tag + " | " + text
	}
	p.print("", text)
}

// Say prints a line that no event of a run is behind, above the live region. tag says whom it is from, such as
// a pod, has a colour of its own, and may be empty. Both have to be clean.
func (t *Terminal) Say(tag, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tag != "" {
		text = t.screen.paint(tagColour(tag), tag) + " " + text
	}
	t.above = append(t.above, line{mark: markNone, text: text})
}

// tagColour is the colour of a tag: the same one each time, and none that means something elsewhere.
func tagColour(tag string) string {
	colours := []string{"36", "35", "34", "96", "95", "94"}
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(tag)) // it never fails
	return colours[sum.Sum32()%uint32(len(colours))]
}
