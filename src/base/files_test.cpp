#include "base/files.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <stdlib.h>
#include <cstdlib>

#include "base/sim_files.hpp"

namespace bavn {
namespace {

std::string temporary_folder() {
  std::string path = "/tmp/bavn_files_XXXXXX";
  EXPECT_NE(::mkdtemp(path.data()), nullptr);
  return path;
}

void reads_what_was_written(Files& files, const std::string& folder) {
  ASSERT_TRUE(files.make_dirs(folder + "/a/b"));
  const std::string path = folder + "/a/b/file";
  EXPECT_EQ(files.open(path, OpenMode::read).error().code, Code::not_found);
  auto file = files.open(path, OpenMode::create);
  ASSERT_TRUE(file);
  ASSERT_TRUE((*file)->pwrite(3, "defg"));
  ASSERT_TRUE((*file)->pwrite(0, "abc"));
  ASSERT_TRUE((*file)->truncate(6));
  ASSERT_TRUE((*file)->sync());
  EXPECT_EQ((*file)->size().value(), 6U);
  EXPECT_EQ(read_file(files, path, 100).value(), "abcdef");
  EXPECT_EQ(read_file(files, path, 5).error().code, Code::bad_input);
  EXPECT_EQ((*files.map(path))->bytes(), "abcdef");
  ASSERT_TRUE(replace_file(files, path, "new"));
  EXPECT_EQ(read_file(files, path, 100).value(), "new");
  EXPECT_EQ(files.list(folder + "/a/b").value(), std::vector<std::string>{"file"});
  ASSERT_TRUE(files.rename(path, folder + "/a/b/other"));
  EXPECT_FALSE(files.exists(path));
  ASSERT_TRUE(files.unlink(folder + "/a/b/other"));
  EXPECT_EQ(files.unlink(path).error().code, Code::not_found);
  ASSERT_TRUE(files.sync_dir(folder + "/a/b"));
}

TEST(Files, TheDiskAndTheSimulatedDiskKeepTheSameContract) {
  DiskFiles disk;
  reads_what_was_written(disk, temporary_folder());
  SimFiles sim;
  reads_what_was_written(sim, "/sim");
}

TEST(SimFiles, APowerCutKeepsWhatWasSyncedAndTearsTheRestAtSectors) {
  bool torn = false, whole = false;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    SimFiles files(seed);
    auto file = files.open("/d/f", OpenMode::create).value();
    ASSERT_TRUE(file->pwrite(0, std::string(1024, 'a')));
    ASSERT_TRUE(file->sync());
    ASSERT_TRUE(files.sync_dir("/d"));
    ASSERT_TRUE(file->pwrite(1024, std::string(1024, 'b')));
    files.cut_power();
    const std::string left = read_file(files, "/d/f", 1 << 20).value();
    ASSERT_GE(left.size(), 1024U);
    EXPECT_EQ(left.substr(0, 1024), std::string(1024, 'a'));
    torn = torn || (left.size() == 2048 && left[1024] == '\0') || left.size() == 1536;
    whole = whole || left.substr(1024) == std::string(1024, 'b');
    EXPECT_FALSE(file->sync()) << "a file of the dead process still works";
  }
  EXPECT_TRUE(torn);
  EXPECT_TRUE(whole);
}

TEST(SimFiles, ReplaceFileLeavesTheOldOrTheNewContentAtEveryFaultAndCut) {
  for (std::uint64_t n = 1; n <= 6; ++n) {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      SimFiles files(seed);
      ASSERT_TRUE(replace_file(files, "/d/f", "old"));
      files.fail_at(n, seed % 2 == 0 ? SimFiles::Fault::no_space : SimFiles::Fault::io_error);
      const bool said_ok = replace_file(files, "/d/f", "new").has_value();
      EXPECT_EQ(said_ok, files.faults_given() == 0);
      files.cut_power();
      const std::string left = read_file(files, "/d/f", 100).value();
      EXPECT_TRUE(left == "new" || (!said_ok && left == "old")) << left << " at call " << n;
    }
  }
}

/// The same on a real disk and on the simulated one.
void a_name_moves_and_the_file_stays_itself(Files& files, const std::string& folder) {
  auto file = files.open(folder + "/a", OpenMode::create).value();
  ASSERT_TRUE(file->pwrite(0, "12345"));
  const FileStat before = files.stat(folder + "/a").value();
  EXPECT_EQ(before.size, 5U);
  EXPECT_TRUE(before.regular);
  ASSERT_TRUE(files.rename(folder + "/a", folder + "/b"));
  ASSERT_TRUE(files.open(folder + "/a", OpenMode::create));
  EXPECT_EQ(files.stat(folder + "/b")->inode, before.inode);
  EXPECT_EQ(file->stat()->inode, before.inode);
  EXPECT_NE(files.stat(folder + "/a")->inode, before.inode);
  EXPECT_TRUE(files.stat(folder)->folder);
  EXPECT_EQ(files.stat(folder + "/c").error().code, Code::not_found);
}

TEST(Files, ANameMovesAndTheFileStaysItself) {
  std::string folder = "/tmp/bavn-stat-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  DiskFiles disk;
  a_name_moves_and_the_file_stays_itself(disk, folder);
  for (const char* name : {"/a", "/b"}) ASSERT_TRUE(disk.unlink(folder + name));
  ::rmdir(folder.c_str());
  SimFiles sim;
  a_name_moves_and_the_file_stays_itself(sim, "/d");
}

TEST(SimFiles, WhatIsDeniedCannotBeOpenedUntilItIsAllowed) {
  SimFiles files;
  ASSERT_TRUE(files.open("/d/a", OpenMode::create));
  files.deny("/d/a", true);
  EXPECT_EQ(files.open("/d/a", OpenMode::read).error().code, Code::forbidden);
  files.deny("/d/a", false);
  EXPECT_TRUE(files.open("/d/a", OpenMode::read));
}

}  // namespace
}  // namespace bavn
