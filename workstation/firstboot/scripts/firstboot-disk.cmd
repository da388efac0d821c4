@echo off
rem Makes the partitions for Windows, on the only disk there is, if it is empty.
rem "clean" is not among the commands: diskpart refuses to convert a disk that
rem has a partition (Microsoft, diskpart, convert gpt). If anything is not as
rem expected, the VM goes off, and whoever waits for it sees that.
for %%d in (C D E F G H I J K L M) do if exist %%d:\vioscsi\w11\amd64\vioscsi.inf drvload.exe %%d:\vioscsi\w11\amd64\vioscsi.inf
>X:\list.txt echo list disk
set disks=0
rem A line of a disk has a number as its second word, in the languages of the installer.
for /f "tokens=2" %%n in ('diskpart.exe /s X:\list.txt') do call :count %%n
if not "%disks%"=="1" goto refuse
>X:\disk.txt (
echo select disk 0
echo convert gpt
echo create partition efi size=300
echo format quick fs=fat32 label="System"
echo create partition msr size=16
echo create partition primary
echo shrink minimum=1000
echo format quick fs=ntfs label="Windows"
echo create partition primary
echo format quick fs=ntfs label="Recovery"
echo set id="de94bba4-06d1-4d40-a16a-bfd50179d6ac"
echo gpt attributes=0x8000000000000001
)
diskpart.exe /s X:\disk.txt || goto refuse
exit /b 0

:count
set "word=%1"
for /f "delims=0123456789" %%x in ("%word%") do set "word="
if defined word set /a disks+=1
exit /b 0

:refuse
echo There must be one disk, and it must be empty. There are %disks%. Nothing was changed.
wpeutil.exe shutdown
:wait
ping.exe -n 60 127.0.0.1 >nul
goto wait
