// A script for the DNS server of Windows: query resolution policies (README.md).
#include <fmt/format.h>

#include <array>

#include "warn/exports/writing.hpp"

namespace bavn::warn::exports::windows_dns {

namespace {

// Each policy is tried for each question: thousands are felt.
constexpr std::array<File, 1> kFiles = {{
    {"windows_dns.ps1", "text/plain; charset=utf-8", "Adds and removes its own query resolution policies", 2'000},
}};

constexpr std::string_view kBegin = R"(<#
.SYNOPSIS
  Makes the DNS server of Windows refuse the names on Bavn's block list, and nothing else.
.DESCRIPTION
  Query resolution policies (Windows Server 2016 and later) whose names begin with "Bavn " are this script's own: it adds those
  that are missing, removes those that are on the list no longer, and touches no other policy. Running it again changes nothing.
.PARAMETER Undo
  Removes all policies of this script.
.PARAMETER ComputerName
  The DNS server; this machine when not given.
.EXAMPLE
  .\windows_dns.ps1 -WhatIf
.EXAMPLE
  .\windows_dns.ps1 -Undo
#>
#Requires -Modules DnsServer
[CmdletBinding(SupportsShouldProcess)]
param([switch]$Undo, [string]$ComputerName = 'localhost')
$ErrorActionPreference = 'Stop'
Set-StrictMode -Version 2
$prefix = 'Bavn '
$names = @(
)";

constexpr std::string_view kEnd = R"()
# A list that was kept too long blocks what nobody looks after any more: each name has its end.
$now = [DateTime]::UtcNow
$wanted = @{}
if (-not $Undo) {
  foreach ($line in $names) {
    $name, $until = $line -split ' '
    $ends = [DateTime]::Parse($until, [Globalization.CultureInfo]::InvariantCulture, [Globalization.DateTimeStyles]::AdjustToUniversal)
    if ($ends -gt $now) { $wanted[$prefix + $name] = $name }
  }
}
$have = @(Get-DnsServerQueryResolutionPolicy -ComputerName $ComputerName |
  Where-Object { $_.Name.StartsWith($prefix, [StringComparison]::Ordinal) } | ForEach-Object { $_.Name })
$added = 0; $removed = 0; $failed = 0
foreach ($policy in $have) {
  if (-not $wanted.ContainsKey($policy) -and $PSCmdlet.ShouldProcess($policy, 'Remove DNS policy')) {
    try {
      Remove-DnsServerQueryResolutionPolicy -ComputerName $ComputerName -Name $policy -Force
      $removed++
    } catch { $failed++; Write-Warning "$policy could not be removed: $_" }
  }
}
foreach ($policy in @($wanted.Keys | Sort-Object)) {
  if ($have -notcontains $policy -and $PSCmdlet.ShouldProcess($policy, 'Add DNS policy')) {
    $name = $wanted[$policy]
    try {
      Add-DnsServerQueryResolutionPolicy -ComputerName $ComputerName -Name $policy -Action DENY -Fqdn "EQ,$name,*.$name"
      $added++
    } catch { $failed++; Write-Warning "$policy could not be added: $_" }
  }
}
Write-Output "Bavn: $($wanted.Count) names on the list, $added added, $removed removed, $failed failed"
if ($failed -gt 0) { exit 1 }
)";

class WindowsDns final : public Export {
 public:
  std::span<const File> files() const override { return kFiles; }

  Result<Written> write(const File& file, const List& list, const Options&) const override {
    Writer w(file, list, "#");
    w.body() += kBegin;
    // A policy's name has at most 255 characters, with ours in front.
    w.each({event::Kind::domain}, [&](const Entry& e) {
      if (e.what.value.size() > 240) return w.leave_out(e, "the name is too long for a policy");
      const bool first = w.body().ends_with("@(\n");
      // Single quotes: PowerShell reads nothing inside them, and a name has none (safe_name).
      w.put(fmt::format("{}  '{} {}'", first ? "" : "\n", e.what.value, format_time(e.until)));
    });
    if (!w.body().ends_with('\n')) w.body() += '\n';
    w.body() += kEnd;
    return w.done();
  }
};

}  // namespace

std::unique_ptr<Export> make() {
  return std::make_unique<WindowsDns>();
}

}  // namespace bavn::warn::exports::windows_dns
