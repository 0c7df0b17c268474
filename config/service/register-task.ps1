<#
.SYNOPSIS
  Windows Task Scheduler: registers the daemon to start with the machine and to start again when it ends.

.DESCRIPTION
  Run once as administrator. The account needs "Log on as a batch job", may read the site's folder, and write its
  state, exports and logs. Ending the task ends the process at once; a run that was under way goes on at the next
  start. See README, "Running it for years".

.EXAMPLE
  .\register-task.ps1 -Site 'C:\fhir-rounds-site' -User 'HOSPITAL\svc-fhir-rounds'
#>
param(
  [Parameter(Mandatory)] [string] $Site,
  [Parameter(Mandatory)] [string] $User,
  [string] $Program = (Resolve-Path (Join-Path $PSScriptRoot '..\..')).Path,
  [string] $Node = (Get-Command node).Source,
  [string] $TaskName = 'fhir-rounds'
)
$ErrorActionPreference = 'Stop'

$ini = Join-Path $Site 'config\fhir-rounds.ini'
if (-not (Test-Path $ini)) { throw "there is no $ini; make a site with: fhir-rounds init --folder `"$Site`"" }
$bootstrap = Join-Path $Program 'src\bootstrap.mjs'

$action = New-ScheduledTaskAction -Execute $Node -WorkingDirectory $Site `
  -Argument "`"$bootstrap`" daemon --config `"$ini`""
$trigger = New-ScheduledTaskTrigger -AtStartup
# No time limit; never two at once; after a crash again within a minute.
$settings = New-ScheduledTaskSettingsSet -ExecutionTimeLimit ([TimeSpan]::Zero) -MultipleInstances IgnoreNew `
  -RestartCount 999 -RestartInterval (New-TimeSpan -Minutes 1) -StartWhenAvailable `
  -AllowStartIfOnBatteries -DontStopIfGoingOnBatteries

$credential = Get-Credential -UserName $User -Message 'The account that the daemon runs as'
Register-ScheduledTask -TaskName $TaskName -Action $action -Trigger $trigger -Settings $settings `
  -User $credential.UserName -Password $credential.GetNetworkCredential().Password -RunLevel Limited | Out-Null
Start-ScheduledTask -TaskName $TaskName
Get-ScheduledTask -TaskName $TaskName
