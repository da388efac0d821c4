// Package board is the page and the HTTP interface of the switchboard. They
// show which VM has the card and which VMs could have it, and switch between
// them. Files are named after ideas:
//
//	board    what a board is, and its routes
//	reading  one read of the node for all viewers
//	view     turns answers of the node into the view; without I/O
//	job      a switch or a shutdown under way
//	words    the texts that people read; without I/O
//	page     the page, and its forms that work without JavaScript
//	api      the interface for programs
//	events   sends page and status again when they change
//	guard    host names, headers, cross-site requests
//	login    the secret, sessions, and the throttle
package board
