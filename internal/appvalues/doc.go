// Package appvalues is what template plugins have in common: valuesFrom, the list of values in an App
// as kapp-controller has it (https://carvel.dev/kapp-controller/docs/latest/app-spec/). It reads
// Secrets, ConfigMaps and the downward API, masks the secrets among them in messages, and gives the
// part that they have in a step's key. What values mean, and how paths are read, is the plugin's.
package appvalues
