// Package browser holds the tests that use the switchboard's page as people do:
// in a headless Chromium, by touch, by keyboard, without JavaScript, and with
// axe-core for people who hear the page. It is a module of its own, so that the
// library does not require the browser's driver.
//
// The driver is chromedp: a few packages over the browser's own protocol, with
// releases every month. It starts the Chromium that Debian packages, and
// downloads nothing.
package browser
