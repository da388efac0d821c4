package recovery

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/proxstation/proxstation/internal/printable"
)

// DefaultURL is Apple's recovery service.
const DefaultURL = "http://osrecovery.apple.com"

// A Client speaks to a recovery service. The zero Client speaks to Apple's
// service.
type Client struct {
	// HTTP makes the requests; nil means [http.DefaultClient]. A Timeout in it
	// would limit the whole download.
	HTTP *http.Client
	// URL is the address of the service; "" means [DefaultURL].
	URL string
	// Keys holds the keys whose signatures are accepted. If it is empty, the
	// keys of [AppleKeys] are used.
	Keys []*rsa.PublicKey
	// Progress is called during downloads, by one goroutine. It may be nil.
	Progress func(Event)
}

// An Event reports the progress of a download.
type Event struct {
	// Message says what is happening, for people.
	Message string
	// Done is the number of bytes of the image that have been verified. Total
	// is the size of the image.
	Done, Total int64
}

// An Asset is an offer of the service: the image and the chunklist of a
// recovery system. It is valid for some hours.
type Asset struct {
	// Product is Apple's name of the recovery system, such as "041-91758".
	Product string
	// Image and Chunklist are the addresses of the two files.
	Image, Chunklist string

	tokens *tokens // a pointer, because fmt would print the values of unexported fields
}

type tokens struct{ image, chunklist string }

// ErrService reports a service whose answer does not follow the protocol. The
// error is a [*ServiceError].
var ErrService = errors.New("recovery: service")

// A ServiceError describes a wrong answer of the service. It matches
// [ErrService].
type ServiceError struct {
	// Host is the name of the host that answered.
	Host string
	// Status is the HTTP status.
	Status int
	// Reason says what is wrong with the answer.
	Reason string
}

// Error implements error.
func (e *ServiceError) Error() string {
	return printable.Sprintf("%v %s: HTTP status %d: %s", ErrService, e.Host, e.Status, e.Reason)
}

// Is reports whether target is [ErrService].
func (e *ServiceError) Is(target error) bool { return target == ErrService }

// Find asks the service for a release's recovery system. The error matches
// [ErrRelease] or [ErrService], or comes from the network.
func (c *Client) Find(ctx context.Context, release Release) (Asset, error) {
	board, err := release.Board()
	if err != nil {
		return Asset{}, err
	}
	return c.FindBoard(ctx, board)
}

// FindBoard asks the service for the recovery system of a Mac. In place of the
// IDs that a Mac would send, it sends random IDs. The error matches
// [ErrService] or comes from the network.
func (c *Client) FindBoard(ctx context.Context, board Board) (Asset, error) {
	session, err := c.session(ctx)
	if err != nil {
		return Asset{}, err
	}
	system := "default"
	if board.Latest {
		system = "latest"
	}
	form := []string{
		"cid=" + randomHex(8),
		"sn=" + orDefault(board.Serial, noSerial),
		"bid=" + board.ID,
		"k=" + randomHex(32),
		"fg=" + randomHex(32),
		"os=" + system,
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost,
		c.base()+"/InstallationPayload/RecoveryImage", strings.NewReader(strings.Join(form, "\n")))
	if err != nil {
		return Asset{}, fmt.Errorf("recovery: %w", err)
	}
	request.Header.Set("Content-Type", "text/plain")
	request.Header.Set("Cookie", session)
	response, err := c.do(request)
	if err != nil {
		return Asset{}, err
	}
	defer closeQuietly(response)
	if response.StatusCode != http.StatusOK {
		return Asset{}, serviceError(response, "no recovery system for board "+board.ID)
	}
	return parseAsset(response)
}

// The method "session" returns the cookie that the service requires in every
// request.
func (c *Client) session(ctx context.Context) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base()+"/", nil)
	if err != nil {
		return "", fmt.Errorf("recovery: %w", err)
	}
	response, err := c.do(request)
	if err != nil {
		return "", err
	}
	defer closeQuietly(response)
	for _, cookie := range response.Cookies() {
		if cookie.Name == "session" {
			return "session=" + cookie.Value, nil
		}
	}
	return "", serviceError(response, "gave no session")
}

// parseAsset reads lines "KEY: VALUE". AP is the product, AU and AT are the
// address and the token of the image, and CU and CT are the address and the
// token of the chunklist.
func parseAsset(response *http.Response) (Asset, error) {
	fields := map[string]string{}
	lines := bufio.NewScanner(io.LimitReader(response.Body, 64<<10))
	for lines.Scan() {
		if key, value, found := strings.Cut(lines.Text(), ": "); found {
			fields[key] = strings.TrimSpace(value)
		}
	}
	if err := lines.Err(); err != nil {
		return Asset{}, fmt.Errorf("recovery: %w", err)
	}
	for _, key := range []string{"AP", "AU", "AT", "CU", "CT"} {
		if fields[key] == "" {
			return Asset{}, serviceError(response, "its answer has no "+key)
		}
	}
	for _, key := range []string{"AU", "CU"} {
		u, err := url.Parse(fields[key])
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return Asset{}, serviceError(response, key+" is not an address")
		}
	}
	return Asset{
		Product: fields["AP"], Image: fields["AU"], Chunklist: fields["CU"],
		tokens: &tokens{fields["AT"], fields["CT"]},
	}, nil
}

// The method "get" requests a file of an asset from a given byte on. If nothing
// arrives for a while, reading the answer fails with ErrStalled.
func (c *Client) get(ctx context.Context, address, token string, from int64) (*http.Response, error) {
	ctx, body := watch(ctx)
	response, err := c.open(ctx, address, token, from)
	if err != nil {
		return nil, body.end(err)
	}
	body.ReadCloser, response.Body = response.Body, body
	return response, nil
}

func (c *Client) open(ctx context.Context, address, token string, from int64) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("recovery: %w", err)
	}
	request.Header.Set("Cookie", "AssetToken="+token)
	if from > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
	}
	response, err := c.do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusPartialContent {
		closeQuietly(response)
		return nil, serviceError(response, "does not send the file")
	}
	return response, nil
}

func (c *Client) do(request *http.Request) (*http.Response, error) {
	request.Header.Set("User-Agent", "InternetRecovery/1.0")
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("recovery: %w", err)
	}
	return response, nil
}

func (c *Client) base() string { return strings.TrimSuffix(orDefault(c.URL, DefaultURL), "/") }

func serviceError(response *http.Response, reason string) error {
	return &ServiceError{Host: response.Request.URL.Host, Status: response.StatusCode, Reason: reason}
}

func closeQuietly(response *http.Response) { _ = response.Body.Close() }

func randomHex(bytes int) string {
	random := make([]byte, bytes)
	_, _ = rand.Read(random) // rand.Read never fails
	return fmt.Sprintf("%X", random)
}

func orDefault(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}
