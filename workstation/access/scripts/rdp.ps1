# Sets up Remote Desktop. Standard input, each in base64: the steps to do, in one
# line; the user; the password. Every line of the report begins with "access: ".
# For Windows PowerShell 5.1 and newer, as an administrator.
Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
function Say([string]$text) { [Console]::Out.WriteLine('access: ' + $text) }
function Read-Text { return [Text.Encoding]::UTF8.GetString([Convert]::FromBase64String([string][Console]::In.ReadLine())) }
# What is not foreseen must not print its values.
trap { Say ('error line ' + $_.InvocationInfo.ScriptLineNumber + ': ' + $_.Exception.GetType().Name); exit 1 }
$steps = (Read-Text).Split(' ', [StringSplitOptions]::RemoveEmptyEntries)
$user = Read-Text
$password = Read-Text

$server = 'HKLM:\SYSTEM\CurrentControlSet\Control\Terminal Server'
$listener = "$server\WinStations\RDP-Tcp"
$rules = '@FirewallAPI.dll,-28752' # the group Remote Desktop, in every language
$group = 'S-1-5-32-555' # Remote Desktop Users, in every language
$administrators = 'S-1-5-32-544'

function Get-Found { return Get-LocalUser -Name $user -ErrorAction SilentlyContinue }
function Get-Secret { return ConvertTo-SecureString $password -AsPlainText -Force }
function Test-Member([string]$sid) {
	$found = Get-Found
	if (-not $found) { return $false }
	return @(Get-LocalGroupMember -SID $sid | Where-Object { $_.SID -eq $found.SID }).Count -gt 0
}
function Test-Password {
	Add-Type -AssemblyName System.DirectoryServices.AccountManagement
	$context = New-Object DirectoryServices.AccountManagement.PrincipalContext 'Machine'
	return $context.ValidateCredentials($user, $password)
}
function Say-Answer([string]$word, [bool]$yes) { if ($yes) { Say "$word yes" } else { Say "$word no" } }

foreach ($step in $steps) {
	switch ($step) {
		'allow' {
			Set-ItemProperty $server -Name fDenyTSConnections -Value 0 -Type DWord
			Set-Service -Name TermService -StartupType Manual
			Start-Service -Name TermService
		}
		'nla' { Set-ItemProperty $listener -Name UserAuthentication -Value 1 -Type DWord }
		'firewall' { Enable-NetFirewallRule -Group $rules }
		'user' { [void](New-LocalUser -Name $user -Password (Get-Secret) -AccountNeverExpires) }
		'password' { Set-LocalUser -Name $user -Password (Get-Secret) }
		'member' { Add-LocalGroupMember -SID $group -Member $user }
		default { Say "error no such step: $step"; exit 1 }
	}
}

Say "edition $((Get-ItemProperty 'HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion').EditionID)"
Say-Answer 'allowed' ((Get-ItemProperty $server).fDenyTSConnections -eq 0)
Say-Answer 'nla' ((Get-ItemProperty $listener).UserAuthentication -eq 1)
$on = @(Get-NetFirewallRule -Group $rules -ErrorAction SilentlyContinue)
Say-Answer 'firewall' ($on.Count -gt 0 -and @($on | Where-Object { "$($_.Enabled)" -ne 'True' }).Count -eq 0)
if ($user) {
	Say-Answer 'user' ([bool](Get-Found))
	Say-Answer 'member' ((Test-Member $group) -or (Test-Member $administrators))
	if ($password -and (Get-Found)) { Say-Answer 'password' (Test-Password) }
}
Say 'done'
