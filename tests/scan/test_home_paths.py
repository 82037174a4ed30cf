"""Personal paths are found as shells, systems and clusters write them.

Paths of web pages, images and instructions are not personal.
"""

from __future__ import annotations

import pytest

from ckpt_tools.scan.home_paths import hidden, homes

FOUND = {
    "/home/ada/x": "/home/ada",
    '"/home/ada"': "/home/ada",
    "x=/home/ada": "/home/ada",
    "-v /home/ada:/x": "/home/ada",
    "robot@host:/home/ada/x": "/home/ada",
    "file:///home/ada/x": "/home/ada",
    "\\/home\\/ada\\/x": "/home/ada",
    "/home//ada/x": "/home/ada",
    "/home/./ada": "/home/ada",
    "/Users/ada/x": "/Users/ada",
    "/System/Volumes/Data/Users/ada": "/System/Volumes/Data/Users/ada",
    "C:\\Users\\ada\\x": "C:\\Users\\ada",
    "C:\\\\Users\\\\ada": "C:\\Users\\ada",
    "C:/Users/ada": "C:\\Users\\ada",
    "c:\\users\\ada\\x": "C:\\Users\\ada",
    "/mnt/c/Users/ada/x": "/mnt/c/Users/ada",
    "/mnt/c/users/ada/x": "/mnt/c/users/ada",
    "/c/Users/ada": "/c/Users/ada",
    "/nfs/home/ada/x": "/nfs/home/ada",
    "/mnt/home/ada/x": "/mnt/home/ada",
    "/data/home/ada": "/data/home/ada",
    "/gpfs/home/ada": "/gpfs/home/ada",
    "/var/home/ada": "/var/home/ada",
    "/export/home/ada": "/export/home/ada",
    "/scratch/ada/x": "/scratch/ada",
    "/media/ada/disk": "/media/ada",
    "/root/ada/x": "/root/ada",
    "~ada/x": "~ada",
}


@pytest.mark.parametrize("path", FOUND)
def test_a_personal_path_is_found_and_hidden(path: str) -> None:
    for text in (path, f"dir: {path}", f"lorem {path} ipsum", "x " * 200_000 + path):
        assert set(homes(text)) == {FOUND[path]}
        assert "ada" not in hidden(text)


def test_an_escaped_personal_path_is_found() -> None:
    assert set(homes("%2Fhome%2Fada%2F \\u002fhome\\u002fbob")) == {"/home/ada", "/home/bob"}


@pytest.mark.parametrize(
    "harmless",
    [
        "https://x.org/home/ada",
        "https://lerobot.org/Users/ada",
        "https://x.org/~ada/x",
        "http://home/ada",
        "s3://home/ada/x",
        "outputs/home/ada",
        "../home/ada",
        "$HOME/home/ada",
        '{"/root": 5, "/home/": 6, "/": 7}',
        "/rootfs and /root-cause and /root",
        "docker run -v ~/.cache:/root/.cache/huggingface",
        "file:///usr/share/x",
        "/home/xyz/x /home/your-user/x /home/myuser/x /home/pi/x /home/ubuntu/x /home/jovyan/x",
        "/home/vscode/x /home/runner/x /home/user1/x /home/username/x",
        "/home/<you>/x /home/$USER/x /home/{user}/x /home/.../x /home/…/x",
        "/Users/Shared/x C:\\Users\\Public\\x C:\\Users\\<user>\\x C:\\Windows",
        "![x](/media/logo.png)",
        "~~old/new~~ a ~5/6 cd ~/x",
        "\\home\\x",
    ],
)
def test_generic_paths_are_not_personal(harmless: str) -> None:
    assert list(homes(f"text: {harmless}")) == []
    assert hidden(f"text: {harmless}") == f"text: {harmless}"
