// Package rustdesk holds RustDesk's configuration as types, and installs and
// configures RustDesk inside guests. It knows nothing of Proxmox VE: a [Guest]
// is any way into a guest, such as the guest agent of package workstation, or
// SSH.
//
// A map for newcomers:
//
//   - [Config] is the configuration that a guest should have: a [Server] (the
//     zero Server is RustDesk's public infrastructure), an [Access], a permanent
//     password. [Unattended] makes the configuration of a workstation that
//     nobody sits at.
//   - [Config.File] and [ParseFile] write and read RustDesk2.toml, and
//     [File.Path] returns the path of this file. [Server.ConfigString],
//     [Server.FileName] and [ParseServer] write and read the two texts with
//     which RustDesk hands a server on to other clients.
//   - [Diff] says which options differ. [PlanFor] reads many guests and returns
//     their differences as a [Plan]. A person can read a move from the public
//     servers to a self-hosted server before it is made. A plan also names
//     guests that share an ID because they are clones.
//   - [SetUp] brings one guest to the state that a [Setup] describes: it runs a
//     [Script] for [Linux], [Windows] or [MacOS] and returns a [Report].
//   - [SetUpServer] turns a guest into a self-hosted [Server] by a
//     [ServerSetup], and reads the server's public key for [Unattended].
//     [ReadServerHealth] checks the server later, and [Server.Online] asks the
//     server which guests are online.
//   - [Report.Judge] names the obstacles for a person who connects,
//     [Report.Picture] says what the person would see, and [Capture] takes a
//     picture.
//   - [MacOSTasks] and [DisplayTasks] are steps that no script can do: a person
//     does them, and a command shows whether they were done.
//   - [Link] is a rustdesk:// address to click on.
//
// # Secrets
//
// The permanent password and the server's key are of type [proxstation.Secret],
// which prints as "[secret]" everywhere. A script's body never contains them:
// it reads them from its standard input. RustDesk accepts them only on its
// command line, where processes of the guest can see them for the second or so
// that the command takes. RustDesk before 1.4.2 also wrote its command line to
// its log, so the scripts set neither secret on such a release (see
// [KeepsSecrets]).
//
// # Success
//
// RustDesk exits with 0 even when it refuses. The scripts therefore judge by
// its output, read every option back, and print a report of their own. Only a
// report that ends in "done" is a success.
//
// The facts were read in the sources of RustDesk 1.4.9 (src/core_main.rs,
// src/custom_server.rs, src/ipc.rs, src/server.rs, res) and of its hbb_common
// (src/config.rs), in August 2026. Facts about older versions were read in the
// history of these files. The facts about the server are from rustdesk-server
// 1.1.17 (systemd, debian, src).
package rustdesk
