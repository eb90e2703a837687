#include "tenants/code.hpp"

#include <gtest/gtest.h>

#include "base/text.hpp"

namespace bavn::tenants {
namespace {

EnrolmentCode some_code() {
  return {"hub.example.org:8443", "abcdefghijklmnopqrstuvwxyz234567", "0123456789abcdef"};
}

TEST(EnrolmentCode, IsReadBackAsPeoplePasteIt) {
  for (const std::string hub : {"hub.example.org:8443", "192.0.2.7:443", "[2001:db8::1]:8443", "localhost:1"}) {
    auto code = some_code();
    code.hub = hub;
    const auto text = code.text();
    EXPECT_TRUE(text.starts_with("bavn1." + hub + "."));
    std::string pasted = "  " + text.substr(0, 20) + "\r\n " + text.substr(20) + "\n";
    for (char& c : pasted)
      if (c >= 'a' && c <= 'z' && hub != "localhost:1") c = static_cast<char>(c - 32);
    const auto read = EnrolmentCode::parse(pasted);
    ASSERT_TRUE(read) << to_string(read.error());
    EXPECT_EQ(read->hub, code.hub);
    EXPECT_EQ(read->root, code.root);
    EXPECT_EQ(read->secret, code.secret);
  }
}

TEST(EnrolmentCode, EveryMistypedCharacterIsNoticed) {
  const auto text = some_code().text();
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto typed = text;
    typed[i] = typed[i] == 'x' ? 'y' : 'x';
    EXPECT_FALSE(EnrolmentCode::parse(typed)) << typed;
    EXPECT_FALSE(EnrolmentCode::parse(text.substr(0, i))) << i;
  }
}

TEST(EnrolmentCode, SaysWhatIsWrong) {
  EXPECT_NE(EnrolmentCode::parse("").error().what.find("no enrolment code"), std::string::npos);
  EXPECT_NE(EnrolmentCode::parse("hello").error().what.find("not an enrolment code"), std::string::npos);
  EXPECT_NE(EnrolmentCode::parse(std::string(5000, 'a')).error().what.find("not an enrolment code"), std::string::npos);
  EXPECT_NE(EnrolmentCode::parse("bavn1.hub:1").error().what.find("missing"), std::string::npos);
  auto text = some_code().text();
  text[text.size() - 12] = text[text.size() - 12] == 'a' ? 'b' : 'a';
  EXPECT_NE(EnrolmentCode::parse(text).error().what.find("mistyped"), std::string::npos);
}

TEST(EnrolmentCode, TheDigestIsNotTheSecret) {
  EXPECT_EQ(EnrolmentCode::digest("a").size(), 32U);
  EXPECT_NE(EnrolmentCode::digest("a"), EnrolmentCode::digest("b"));
}

}  // namespace
}  // namespace bavn::tenants
