// Package board is the page and the HTTP interface of the switchboard. Both show
// which VM has the card and which VMs could have it, and switch the card between
// the VMs. Each file is named after its subject:
//
//	board    what a board is, and its routes
//	reading  one read of the node for all viewers
//	view     converts answers of the node to the view; without I/O
//	job      a switch or a shutdown under way
//	words    the texts that people read; without I/O
//	page     the page, and its forms that work without JavaScript
//	api      the interface for programs
//	events   sends the page and the status each time they change
//	guard    host names, headers, cross-site requests
//	login    the secret, sessions, and the throttle
package board
