# Sets this Windows up, once: drivers, the guest agent, the disk for games, the
# driver of the card. It runs at each start until everything is done, and leaves
# alone what is done. How far it is, is in firstboot.state beside it.
param([ValidateSet('register', 'base', 'games', 'driver')][string]$Step = 'base')
Set-StrictMode -Version 2
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
$Dir = {{ps .Dir}}
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
    Write-State {{if .Games}}'games'{{else}}'done'{{end}}
}
{{- with .Games}}

# Test-Blank reads where file systems and databases begin. Windows itself calls a
# disk RAW that has a file system of Linux.
function Test-Blank([int]$Number) {
    Add-Type -Namespace Proxstation -Name Disk -MemberDefinition @'
[DllImport("kernel32.dll", SetLastError = true, CharSet = CharSet.Unicode)]
public static extern Microsoft.Win32.SafeHandles.SafeFileHandle CreateFileW(string name, uint access, uint share, IntPtr security, uint how, uint flags, IntPtr template);
'@
    $handle = [Proxstation.Disk]::CreateFileW("\\.\PhysicalDrive$Number", 2147483648, 3, [IntPtr]::Zero, 3, 0, [IntPtr]::Zero)
    if ($handle.IsInvalid) { Stop-Setup "disk $Number cannot be read, so nobody knows whether it is blank: it was not touched" }
    $stream = New-Object IO.FileStream($handle, [IO.FileAccess]::Read, 65536)
    try {
        $buffer = New-Object byte[] 65536
        for ($i = 0; $i -lt 16; $i++) {
            if ($stream.Read($buffer, 0, $buffer.Length) -ne $buffer.Length) { return $false }
            foreach ($byte in $buffer) { if ($byte -ne 0) { return $false } }
        }
        return $true
    } finally { $stream.Dispose() }
}

function Invoke-Games {
    Read-State
    Write-State 'games'
    $letter = {{ps .Letter}}
    $label = {{ps .Label}}
    Update-HostStorageCache
    # CDs have taken the first letters.
    foreach ($cd in @(Get-CimInstance Win32_Volume -Filter "DriveType=5 AND DriveLetter='${letter}:'")) {
        $free = 'WVUTSRQP'.ToCharArray() | Where-Object { -not (Test-Path -LiteralPath "${_}:\") -and $_ -ne $letter } | Select-Object -First 1
        $cd | Set-CimInstance -Property @{ DriveLetter = "${free}:" }
    }
    # The slot scsi{{$.LUN}} of the VM is the logical unit {{$.LUN}}.
    $units = @(Get-CimInstance Win32_DiskDrive | Where-Object { $_.SCSILogicalUnit -eq {{$.LUN}} -and $_.PNPDeviceID -like 'SCSI\*QEMU*' })
    if ($units.Count -ne 1) { Stop-Setup "there are $($units.Count) disks in the place of {{.Slot}}: nothing was touched" }
    $disk = Get-Disk -Number $units[0].Index
    if ($disk.IsBoot -or $disk.IsSystem) { Stop-Setup 'the disk in {{.Slot}} is the one that Windows is on: it was not touched' }
    if ($disk.IsOffline) { Set-Disk -Number $disk.Number -IsOffline $false }
    if ($disk.IsReadOnly) { Set-Disk -Number $disk.Number -IsReadOnly $false }
    $disk = Get-Disk -Number $disk.Number
    $volumes = @($disk | Get-Partition -ErrorAction SilentlyContinue | Get-Volume -ErrorAction SilentlyContinue)
    $ours = @($volumes | Where-Object { $_.FileSystemLabel -eq $label })
    if ($ours.Count -eq 1) {
        $partition = $ours[0] | Get-Partition
        $Found['games'] = 'kept'
    } elseif ($disk.PartitionStyle -eq 'RAW' -and $disk.NumberOfPartitions -eq 0 -and (Test-Blank $disk.Number)) {
        Initialize-Disk -Number $disk.Number -PartitionStyle GPT
        $partition = New-Partition -DiskNumber $disk.Number -UseMaximumSize
        $partition | Format-Volume -FileSystem NTFS -NewFileSystemLabel $label -Confirm:$false | Out-Null
        $Found['games'] = 'formatted'
    } else {
        Stop-Setup "the disk in {{.Slot}} is not blank ($($disk.PartitionStyle), $($disk.NumberOfPartitions) partitions) and has no volume with the name ${label}: it was not touched"
    }
    if ($partition.DriveLetter -ne $letter) { $partition | Set-Partition -NewDriveLetter $letter }
    Write-State 'done'
}
{{- end}}
{{- with .Driver}}

function Invoke-Driver {
    Read-State
    Write-State 'driver'
    $sum = {{ps .SHA256}}
    $file = "$Dir\driver.exe"
    [Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12
    if (-not (Test-Path -LiteralPath $file) -or (Get-FileHash -Algorithm SHA256 -LiteralPath $file).Hash -ne $sum) {
        Invoke-WebRequest -UseBasicParsing -Uri {{ps .URL}} -OutFile $file
        if ((Get-FileHash -Algorithm SHA256 -LiteralPath $file).Hash -ne $sum) {
            Remove-Item -Force -LiteralPath $file
            Stop-Setup "what was fetched as the card's driver has another checksum: it was thrown away"
        }
    }
    $again = Invoke-Installer "NVIDIA's installer" $file @('-s', '-noreboot', '-noeula') 45
    Remove-Item -Force -LiteralPath $file
    $Found['driver'] = 'installed'
    if ($again) { $Found['restart'] = 'the driver asks for it' }
    Write-State 'done'
}
{{- end}}

$script:Phase = 'agent'
try {
    switch ($Step) {
        'register' { Register-Setup }
        'base' { Invoke-Base }
        {{- if .Games}}
        'games' { Invoke-Games }
        {{- end}}
        {{- if .Driver}}
        'driver' { Invoke-Driver }
        {{- end}}
        default { Stop-Setup "this guest has no step $Step" }
    }
} catch {
    Stop-Setup $_.Exception.Message
}
