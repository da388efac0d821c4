// Package rustdesk holds RustDesk as typed configuration, and installs and
// configures it inside guests. It knows nothing of Proxmox VE: a [Guest] is any
// way into a guest, such as the guest agent of package workstation, or SSH.
//
// A map for newcomers:
//
//   - [Config] is what a guest should have: a [Server] (the zero Server is
//     RustDesk's public infrastructure), an [Access], a permanent password.
//     [Unattended] is the one for a workstation nobody sits at.
//   - [Config.File] and [ParseFile] speak RustDesk2.toml, [File.Path] says
//     where it lies; [Server.ConfigString], [Server.FileName] and
//     [ParseServer] speak the two forms RustDesk takes servers in.
//   - [Diff] says which options differ. [PlanFor] reads many guests and
//     returns their differences as a [Plan], so that a move from the public
//     servers to an own one can be read before it is made.
//     A plan also finds guests that share an ID, because they are clones.
//   - [SetUp] brings one guest to what a [Setup] says: it runs a [Script] for
//     [Linux], [Windows] or [MacOS] and returns a [Report].
//   - [SetUpServer] makes a guest an own [Server] by a [ServerSetup], and
//     reads its public key back for [Unattended]. [ReadServerHealth] looks at it
//     later, and [Server.Online] asks it which guests are there.
//   - [Report.Judge] says what is in the way of a person who connects,
//     [Report.Picture] what the person would see; [Capture] takes a picture.
//   - [MacOSTasks] and [DisplayTasks] are what no script can do: the steps
//     of a human, each with how to see that it was done.
//   - [Link] is a rustdesk:// address to click on.
//
// # Secrets
//
// The permanent password and the server's key are of type [proxstation.Secret], which
// prints as "[secret]" everywhere. A script's body never contains them: it
// reads them from its standard input. They have to pass through RustDesk's
// own command line (it takes them from nowhere else), where processes of the
// guest can see them for the second or so that the command takes. RustDesk
// before 1.4.2 also wrote its command line to its log; the scripts set neither
// secret there (see [KeepsSecrets]).
//
// # Success
//
// RustDesk exits with 0 when it refuses. The scripts therefore judge by what
// it prints, read every option back, and print a report of their own. Only
// a report that ends in "done" is a success.
//
// The facts were read in the sources of RustDesk 1.4.9 (src/core_main.rs,
// src/custom_server.rs, src/ipc.rs, src/server.rs, res) and of its hbb_common
// (src/config.rs), August 2026; facts about older versions in their history.
// Those about the server are from rustdesk-server 1.1.17 (systemd, debian, src).
package rustdesk
