# In the place of the official Postgres image: Debian's Postgres, with the same user, folders and settings.
FROM comd-standin/debian
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql \
    && rm -rf /var/lib/apt/lists/* && ln -s /usr/lib/postgresql/*/bin/* /usr/local/bin/ \
    && usermod -u 999 postgres && groupmod -g 999 postgres \
    && install -d -o 999 -g 999 -m 1777 /var/lib/postgresql/data /var/run/postgresql
COPY postgres-start.sh /usr/local/bin/
STOPSIGNAL SIGINT
ENTRYPOINT ["postgres-start.sh"]
