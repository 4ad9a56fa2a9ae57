package signing

import (
	"encoding/json"
	"fmt"
)

// An envelope is a signed document in the form of DSSE
// (https://github.com/secure-systems-lab/dsse/blob/v1.0.0/envelope.md).
type envelope struct {
	PayloadType string `json:"payloadType"`
	Payload     []byte `json:"payload"`
	Signatures  []mark `json:"signatures"`
}

type mark struct {
	Sig []byte `json:"sig"`
}

// Seal returns a document with its signature, as a DSSE envelope.
func (s *Signer) Seal(payloadType string, payload []byte) ([]byte, error) {
	sig, err := s.Sign(encode(payloadType, payload))
	if err != nil {
		return nil, fmt.Errorf("signature: %w", err)
	}
	return json.Marshal(envelope{PayloadType: payloadType, Payload: payload, Signatures: []mark{{sig}}})
}

// Open returns the document of an envelope, or data itself if it is none. With a verifier anything but an
// envelope of the payload type with a signature by its key is a [*VerifyError]; without one signatures
// aren't looked at. What names the document in errors.
func Open(what, payloadType string, data []byte, v *Verifier) (payload []byte, signed bool, err error) {
	var e envelope
	if json.Unmarshal(data, &e) != nil || e.PayloadType == "" {
		if v != nil {
			return nil, false, v.Verify(what, data)
		}
		return data, false, nil
	}
	if e.PayloadType != payloadType {
		return nil, true, fmt.Errorf("%s: expected an envelope of type %s, found %q", what, payloadType, e.PayloadType)
	}
	if v == nil {
		return e.Payload, true, nil
	}
	var sigs [][]byte
	for _, s := range e.Signatures {
		sigs = append(sigs, s.Sig)
	}
	if err := v.Verify(what, encode(e.PayloadType, e.Payload), sigs...); err != nil {
		return nil, true, err
	}
	return e.Payload, true, nil
}

// encode is what is signed: the type and the payload with their lengths
// (https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md).
func encode(payloadType string, payload []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(payload), payload)
}
