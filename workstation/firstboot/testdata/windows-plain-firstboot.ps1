# Sets this Windows up, once: drivers, the guest agent, the disk for games, the
# driver of the card. It runs at each start until everything is done, and leaves
# alone what is done. How far it is, is in firstboot.state beside it.
param([ValidateSet('register', 'base', 'games', 'driver')][string]$Step = 'base')
Set-StrictMode -Version 2
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
$Dir = 'C:\Windows\proxstation'
$State = "$Dir\firstboot.state"
$TaskName = 'proxstation-firstboot'
$Found = [ordered]@{}

function Write-State([string]$Phase) {
    $script:Phase = $Phase
    $lines = @("phase=$Phase")
    foreach ($key in $Found.Keys) { $lines += "$key=" + ([string]$Found[$key] -replace '\s+', ' ') }
    [IO.File]::WriteAllText("$State.new", ($lines -join "`n") + "`n")
    Move-Item -Force -LiteralPath "$State.new" -Destination $State
    Add-Content -LiteralPath "$Dir\firstboot.log" -Value ("{0:u} {1}" -f (Get-Date), ($lines -join '; '))
}

function Stop-Setup([string]$Why) {
    $Found['failed'] = $Why
    Write-State $script:Phase
    exit 1
}

# Read-State takes over what an earlier step found.
function Read-State {
    if (-not (Test-Path -LiteralPath $State)) { return }
    foreach ($line in [IO.File]::ReadAllLines($State)) {
        $key, $value = $line -split '=', 2
        if ($key -notin 'phase', 'failed', 'restart') { $Found[$key] = $value }
    }
}

function Find-OnCD([string]$Name) {
    foreach ($letter in 'CDEFGHIJKLMNOPQRSTUVWXYZ'.ToCharArray()) {
        if (Test-Path -LiteralPath "${letter}:\$Name") { return "${letter}:\$Name" }
    }
}

# Invoke-Installer ends what takes longer than it may. 3010 and 1641 ask for a restart.
function Invoke-Installer([string]$What, [string]$File, [string[]]$Arguments, [int]$Minutes) {
    $process = Start-Process -FilePath $File -ArgumentList $Arguments -PassThru -WindowStyle Hidden
    $null = $process.Handle # else there is no exit code
    if (-not $process.WaitForExit($Minutes * 60000)) {
        & taskkill.exe /f /t /pid $process.Id | Out-Null
        Stop-Setup "$What did not end within $Minutes minutes"
    }
    if ($process.ExitCode -notin 0, 1641, 3010) { Stop-Setup "$What ended with $($process.ExitCode)" }
    return $process.ExitCode -ne 0
}

function Restart-For([string]$Why) {
    $file = "$Dir\firstboot.boots"
    $boots = 0
    if (Test-Path -LiteralPath $file) { $boots = [int][IO.File]::ReadAllText($file) }
    if ($boots -ge 3) { Stop-Setup "$Why, and three restarts have not helped" }
    [IO.File]::WriteAllText($file, [string]($boots + 1))
    $Found['restart'] = $Why
    Write-State $script:Phase
    Restart-Computer -Force
    exit 0
}

function Register-Setup {
    $action = New-ScheduledTaskAction -Execute 'powershell.exe' -Argument "-NoProfile -NonInteractive -ExecutionPolicy Bypass -File $Dir\firstboot.ps1 -Step base"
    $settings = New-ScheduledTaskSettingsSet -AllowStartIfOnBatteries -DontStopIfGoingOnBatteries -ExecutionTimeLimit ([TimeSpan]::Zero)
    Register-ScheduledTask -TaskName $TaskName -Action $action -Trigger (New-ScheduledTaskTrigger -AtStartup) -Settings $settings -User 'SYSTEM' -RunLevel Highest -Force | Out-Null
    Start-ScheduledTask -TaskName $TaskName
}

# Clear-Secret removes the passwords that the installer left.
function Clear-Secret {
    foreach ($name in 'unattend.xml', 'unattend-original.xml') {
        Remove-Item -Force -ErrorAction SilentlyContinue -LiteralPath "C:\Windows\Panther\$name", "C:\Windows\Panther\Unattend\$name"
    }
    $logon = 'HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Winlogon'
    Set-ItemProperty -LiteralPath $logon -Name AutoAdminLogon -Value '0'
    Set-ItemProperty -LiteralPath $logon -Name AutoLogonCount -Value 0 -Type DWord
    Remove-ItemProperty -LiteralPath $logon -Name DefaultPassword -ErrorAction SilentlyContinue
}

function Invoke-Base {
    Write-State 'agent'
    $again = $false
    if (-not (Get-Service -Name QEMU-GA -ErrorAction SilentlyContinue)) {
        $agent = Find-OnCD 'guest-agent\qemu-ga-x86_64.msi'
        if (-not $agent) { Stop-Setup 'no drive has guest-agent\qemu-ga-x86_64.msi: the CD of virtio-win must stay in the VM until this is done' }
        $again = Invoke-Installer 'the guest agent' 'msiexec.exe' @('/i', $agent, '/qn', '/norestart') 15
    }
    # Not virtio-win-guest-tools.exe, which hangs or rolls back on 24H2
    # (virtio-win-guest-tools-installer issues 64 and 78).
    if (-not (Test-Path -LiteralPath "$Dir\virtio.done")) {
        $tools = Find-OnCD 'virtio-win-gt-x64.msi'
        if (-not $tools) { Stop-Setup 'no drive has virtio-win-gt-x64.msi: the CD of virtio-win must stay in the VM until this is done' }
        $again = (Invoke-Installer 'the drivers of virtio-win' 'msiexec.exe' @('/i', $tools, '/qn', '/norestart') 20) -or $again
        [IO.File]::WriteAllText("$Dir\virtio.done", '')
    }
    Set-Service -Name QEMU-GA -StartupType Automatic
    Start-Service -Name QEMU-GA -ErrorAction SilentlyContinue
    Clear-Secret
    $Found['system'] = [Environment]::OSVersion.Version.ToString()
    if ($again) { Restart-For 'drivers were installed' }
    if ((Get-Service -Name QEMU-GA).Status -ne 'Running') { Stop-Setup 'the guest agent does not run: the VM needs agent: enabled=1, set while the VM is off' }
    Unregister-ScheduledTask -TaskName $TaskName -Confirm:$false -ErrorAction SilentlyContinue
    Remove-Item -Force -ErrorAction SilentlyContinue -LiteralPath "$Dir\firstboot.boots"
    Write-State 'done'
}

$script:Phase = 'agent'
try {
    switch ($Step) {
        'register' { Register-Setup }
        'base' { Invoke-Base }
        default { Stop-Setup "this guest has no step $Step" }
    }
} catch {
    Stop-Setup $_.Exception.Message
}
