# Installs Sunshine, whose installer makes and starts its service. Standard input,
# each in base64: the installer's address and its SHA-256. Every line of the
# report begins with "access: ". For Windows PowerShell 5.1 and newer, as an
# administrator.
Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
function Say([string]$text) { [Console]::Out.WriteLine('access: ' + $text) }
function Fail([string]$text) { Say "error $text"; exit 1 }
function Read-Text { return [Text.Encoding]::UTF8.GetString([Convert]::FromBase64String([string][Console]::In.ReadLine())) }
trap { Fail ('line ' + $_.InvocationInfo.ScriptLineNumber + ': ' + $_.Exception.GetType().Name) }
$url = Read-Text
$want = Read-Text
$directory = Join-Path $env:SystemRoot ('Temp\sunshine-' + [Guid]::NewGuid().ToString('N'))
[void](New-Item -ItemType Directory -Path $directory)
$file = Join-Path $directory 'sunshine.exe'
$sum = ''
$code = -1
try {
	[Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor 3072 # TLS 1.2
	Invoke-WebRequest -UseBasicParsing -Uri $url -OutFile $file
	$sum = (Get-FileHash -Algorithm SHA256 -LiteralPath $file).Hash.ToLowerInvariant()
	if ($sum -eq $want) {
		$installer = Start-Process -FilePath $file -ArgumentList '/S' -Wait -PassThru
		$code = $installer.ExitCode
	}
} finally {
	Remove-Item -Recurse -Force -LiteralPath $directory -ErrorAction SilentlyContinue
}
if ($sum -ne $want) { Fail "the download has SHA-256 $sum" }
if ($code -ne 0) { Fail "the installer exited with $code" }
for ($i = 0; $i -lt 30; $i++) {
	if (Get-NetTCPConnection -State Listen -LocalPort 47990 -ErrorAction SilentlyContinue) { break }
	Start-Sleep -Seconds 1
}
Say 'done'
