// Package board is the page and the HTTP interface of the switchboard: who has
// the card, who could have it, and the switch. Files are named after ideas:
//
//	board    what a board is, its routes
//	reading  asking the node once for all who want to know
//	view     from what was read to what is shown: pure
//	job      a switch or a shutdown under way, and its outcome
//	words    what people read: pure
//	page     the page, and its forms that work without JavaScript
//	api      the interface for programs
//	events   both, as they change
//	guard    hosts, headers, cross-site requests
//	login    the secret, sessions, and the throttle
package board
