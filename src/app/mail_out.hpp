#pragma once
// The mail server through which a hub or a node reaches people. Life: values and plain functions. Thread rules: any thread.
#include <memory>
#include <span>

#include "base/runtime.hpp"
#include "base/settings.hpp"
#include "notify/mail.hpp"

namespace bavn::app {

/// notify.smtp_*.
std::span<const Setting> mail_settings();
/// Null when no mail server is set up. Reads the password's file.
Result<std::unique_ptr<notify::MailCarrier>> mail_of(Runtime& runtime, const Settings& settings);

}  // namespace bavn::app
