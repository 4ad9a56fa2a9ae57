// Package render shows the events of a run to people and programs: [NewTerminal] redraws a live
// region, [NewPlain] prints lines, for logs and pipes, and [NewJSON] prints one event a line. All
// three are a [stages.Observer], safe for concurrent use, and never fail a run: what can't be
// written is dropped. [NewGrouped] prints lines in the foldable groups that logs of CI systems have.
//
// Texts in events come from elsewhere: build output, object names, errors of servers. [Line] and
// [Text] take out of them what could steer a terminal; whatever prints such a text uses one of them.
package render
