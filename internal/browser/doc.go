// Package browser holds the tests that look at the switchboard's page as people
// do: in a headless Chromium, with fingers, keyboards, without JavaScript, and
// with axe-core for those who hear the page. It has a module of its own, so that
// the browser's driver is no requirement of the library.
//
// The driver is chromedp: a few packages over the browser's own protocol, with
// releases every month. It starts the Chromium that Debian brings, and downloads
// nothing.
package browser
